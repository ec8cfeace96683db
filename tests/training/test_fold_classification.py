"""Fold models learn without their own fold, find their thresholds and vote."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from monai.data import pad_list_data_collate
from torch import nn
from torch.utils.data import DataLoader

from nephro_monai.networks.fold_vote import FoldVote
from nephro_monai.networks.inception import InceptionClassifier
from nephro_monai.networks.patient_classifier import PatientClassifier, feature_sequence
from nephro_monai.stages import ThreeWindowColorizer, colorize_slices
from nephro_monai.training.fold_classification import (
    ColoredSlices,
    FoldClassificationModule,
    SGDSettings,
    fold_scores,
    majority_of_slices,
)
from nephro_monai.training.slice_augmentation import SliceAugmentation


def _patients(shift: float = 3.0) -> list[dict]:
    """Malignant patients have larger values in the first feature of their best slice; 3 folds."""
    generator = torch.Generator().manual_seed(0)
    items = []
    for index in range(30):
        features = torch.rand(2 + index % 3, 3, 4, generator=generator)
        features[index % 2, :, 0] += shift * (index % 2)
        items.append({
            "features": feature_sequence(features), "label": index % 2, "fold": index // 2 % 3, "case": f"case_{index}",
        })  # fmt: skip
    return items


def _module(aggregation: str = "max", **settings: float) -> FoldClassificationModule:
    torch.manual_seed(0)
    build = partial(PatientClassifier, features=4, hidden=8, aggregation=aggregation)
    return FoldClassificationModule(
        FoldVote(build, folds=3, own_inputs=True),
        nn.CrossEntropyLoss(),
        SGDSettings(**{"learning_rate": 0.05, **settings}),
        input_key="features",
    )


def _loader(items: list[dict], shuffle: bool = False) -> DataLoader:
    return DataLoader(
        items, batch_size=15, shuffle=shuffle, collate_fn=lambda batch: pad_list_data_collate(batch, method="end")
    )


def _trainer(tmp_path: Path, epochs: int, **settings: object) -> pl.Trainer:
    return pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, check_val_every_n_epoch=epochs, default_root_dir=tmp_path,
        **settings,
    )  # fmt: skip


@pytest.mark.parametrize(("aggregation", "epochs"), [("max", 30), ("gru", 60)])
def test_separable_patients_are_learned(tmp_path: Path, aggregation: str, epochs: int) -> None:
    module, trainer = _module(aggregation, learning_rate=0.1), _trainer(tmp_path, epochs)
    trainer.fit(module, _loader(_patients(), shuffle=True), _loader(_patients()))
    found = {key: float(value) for key, value in trainer.logged_metrics.items()}
    assert found["val_auc"] > 0.95
    assert found["val_accuracy"] > 0.9
    assert found["train_loss_epoch"] < 0.4
    assert [found[f"val_threshold_{k}"] for k in range(3)] == pytest.approx(module.network.thresholds(), abs=1e-6)
    scores = trainer.test(module, _loader([{**item, "fold": -1} for item in _patients()]), verbose=False)[0]
    assert scores["test_accuracy"] > 0.9
    assert {"test_sensitivity", "test_specificity", "test_ppv", "test_npv", "test_mcc", "test_auc"} <= set(scores)
    assert not any(key.startswith("test_patient") for key in scores)  # one item per patient already


def test_a_model_never_learns_from_its_own_fold() -> None:
    module = _module()
    batch = pad_list_data_collate([item for item in _patients() if item["fold"] == 1], method="end")
    loss = module.training_step(batch, 0)
    loss.backward()
    grads = [[p.grad for p in network.parameters()] for network in module.network.networks]
    assert all(g is None for g in grads[1])
    assert all(g is not None for g in grads[0] + grads[2])


def test_the_loss_is_that_of_separate_runs() -> None:
    module, items = _module(), _patients()
    batch = pad_list_data_collate(items, method="end")
    expected = 0.0
    for k, network in enumerate(module.network.networks):
        others = [i for i, item in enumerate(items) if item["fold"] != k]
        logits = network.logits(batch["features"].as_tensor()[others, k])
        expected += float(nn.functional.cross_entropy(logits, batch["label"][others]).detach())
    assert float(module.training_step(batch, 0).detach()) == pytest.approx(expected, rel=1e-5)


def test_training_ignores_the_threshold_and_validation_sets_it() -> None:
    module, items = _module(), _patients(shift=0.5)
    batch = pad_list_data_collate(items, method="end")
    before = float(module.training_step(batch, 0).detach())
    module.network.networks[0].threshold.set(0.9)
    assert float(module.training_step(batch, 0).detach()) == pytest.approx(before)
    module.log = lambda *args, **kwargs: None
    module.validation_step(batch, 0)
    module.on_validation_epoch_end()
    for k, network in enumerate(module.network.networks):
        own = [i for i, item in enumerate(items) if item["fold"] == k]
        probabilities = torch.softmax(network.logits(batch["features"].as_tensor()[own, k]), 1)[:, 1].detach().numpy()
        expected, _ = fold_scores(batch["label"][own].numpy() == 1, probabilities)
        assert float(network.threshold.value) == pytest.approx(expected, abs=1e-6)


def test_a_fold_of_one_class_keeps_its_threshold() -> None:
    module = _module()
    module.log = lambda *args, **kwargs: None
    module.validation_step(pad_list_data_collate([i for i in _patients() if i["label"] == 1], method="end"), 0)
    module.on_validation_epoch_end()
    assert module.network.thresholds() == [0.5, 0.5, 0.5]


def test_image_level_steps_lower_the_loss(tmp_path: Path) -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    slices = [
        {
            "image": torch.randint(-20, 20, (1, 36, 36), generator=generator).short() + 100 * (k % 2),
            "label": k % 2, "fold": k // 4 % 3, "case": f"case_{k // 2 % 6 * 2 + k % 2}",
        }
        for k in range(24)
    ]  # fmt: skip
    module = FoldClassificationModule(
        FoldVote(partial(InceptionClassifier, width=1 / 16, features=8), folds=3),
        nn.CrossEntropyLoss(),
        SGDSettings(learning_rate=0.02),
        ColoredSlices(ThreeWindowColorizer(), SliceAugmentation(size=26, shift=2.0), crop=26, size=75),
    )
    losses = []
    record = module.training_step
    module.training_step = lambda *args: losses.append(record(*args)) or losses[-1]
    trainer = _trainer(tmp_path, 8)
    trainer.fit(module, DataLoader(slices, batch_size=12, shuffle=True), DataLoader(slices, batch_size=12))
    values = [float(loss.detach()) for loss in losses]
    assert np.mean(values[-4:]) < 0.8 * np.mean(values[:4])
    assert "val_auc" in trainer.logged_metrics
    scores = trainer.test(module, DataLoader(slices, batch_size=12), verbose=False)[0]
    assert {"test_auc", "test_patient_auc"} <= set(scores)  # several slices per patient


def test_slices_are_colored_as_in_the_cascade() -> None:
    inputs = ColoredSlices(ThreeWindowColorizer(), None, crop=20, size=75)
    hu = torch.randint(-300, 300, (2, 1, 30, 30)).short()
    expected = colorize_slices(hu[:, :, 5:25, 5:25].float(), ThreeWindowColorizer(), size=75)
    torch.testing.assert_close(inputs(hu, False), expected)
    torch.testing.assert_close(inputs(hu, True), expected)  # no augmentation given


def test_the_optimizer_is_the_papers() -> None:
    module = FoldClassificationModule(_module().network, nn.CrossEntropyLoss())
    module.network.networks[0].head.requires_grad_(False)
    optimizer = module.configure_optimizers()
    assert isinstance(optimizer, torch.optim.SGD)
    assert (optimizer.defaults["lr"], optimizer.defaults["momentum"]) == (0.01, 0.9)
    trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert trained == {id(p) for p in module.network.parameters() if p.requires_grad}
    weights, others = _module(weight_decay=0.1).configure_optimizers().param_groups
    assert (weights["weight_decay"], others["weight_decay"]) == (0.1, 0.0)


def test_patients_by_the_majority_of_their_slices() -> None:
    truth, share = majority_of_slices(
        ["b", "a", "b", "a", "a", "c"], np.array([1, 0, 1, 0, 0, 1]) == 1, np.array([0.9, 0.2, 0.4, 0.5, 0.1, 0.8])
    )
    assert truth.tolist() == [False, True, True]
    assert share.tolist() == pytest.approx([1 / 3, 1 / 2, 1.0])


def test_unseen_logits_come_from_the_model_of_the_fold() -> None:
    module = _module().eval()
    batch = next(iter(_loader(_patients())))
    with torch.no_grad():
        plain = module.unseen_logits(batch)
        each = torch.stack([n.logits(batch["features"][:, k]) for k, n in enumerate(module.network.networks)])
        assert torch.allclose(plain, torch.Tensor(each[batch["fold"], torch.arange(len(plain))]), atol=1e-6)
        module.network.networks[1].threshold.set(0.9)
        moved = module.unseen_logits(batch, thresholds=True)
    own = batch["fold"] == 1
    assert torch.allclose(moved[~own], plain[~own], atol=1e-6)
    assert (torch.softmax(moved[own], 1)[:, 1] < torch.softmax(plain[own], 1)[:, 1]).all()
