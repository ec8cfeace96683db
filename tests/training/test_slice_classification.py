"""The slice classification module learns a separable toy."""

from __future__ import annotations

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from nephro_monai.networks.colorization_cic import ColorfulColorizer
from nephro_monai.networks.slice_classifier import SliceClassifier
from nephro_monai.stages.colorize import GrayColorizer, LearnedColorizer
from nephro_monai.training.slice_augmentation import SliceAugmentation
from nephro_monai.training.slice_classification import (
    AdamWSettings,
    SliceClassificationModule,
    SubtypeTask,
)

TINY = {"name": "densenet", "init_features": 4, "growth_rate": 4, "block_config": [1, 1]}


def _module(
    colorizer: torch.nn.Module | None = None, optimizer: AdamWSettings | None = None
) -> SliceClassificationModule:
    torch.manual_seed(0)
    return SliceClassificationModule(
        SliceClassifier(TINY, head_features=8),
        colorizer or GrayColorizer(),
        SliceAugmentation(size=26, shift=2.0),
        torch.nn.CrossEntropyLoss(),
        optimizer=optimizer or AdamWSettings(learning_rate=1e-2),
        size=64,
    )


def _slices() -> list[dict]:
    """Bright tumors are malignant here."""
    generator = torch.Generator().manual_seed(0)
    items = []
    for index in range(16):
        hu = torch.zeros(1, 36, 36) + 10 * torch.randn(1, 36, 36, generator=generator)
        hu[:, 10:26, 10:26] += 150.0 if index % 2 else 20.0
        items.append(
            {"image": hu.round().short(), "label": index % 2, "case": f"case_{index // 2 % 4 * 2 + index % 2}"}
        )
    return items


def _trainer(tmp_path, epochs: int) -> pl.Trainer:
    return pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, check_val_every_n_epoch=epochs, default_root_dir=tmp_path,
    )  # fmt: skip


def test_the_loss_falls_on_separable_slices(tmp_path) -> None:
    module = _module()
    losses = []
    record = module.training_step
    module.training_step = lambda *args: losses.append(record(*args)) or losses[-1]
    loader = DataLoader(_slices(), batch_size=8, shuffle=True)
    trainer = _trainer(tmp_path, 15)
    trainer.fit(module, loader, DataLoader(_slices(), batch_size=8))
    values = [float(loss.detach()) for loss in losses]
    assert np.mean(values[-4:]) < 0.5 * np.mean(values[:4])
    assert trainer.logged_metrics["val_patient_balanced_accuracy"] == 1.0
    assert trainer.logged_metrics["val_slice_auc"] > 0.95


def test_the_colorizer_stays_frozen_and_out_of_the_checkpoint(tmp_path) -> None:
    colorizer = LearnedColorizer(ColorfulColorizer(width=2, bins=12))
    module = _module(colorizer)
    before = {key: value.clone() for key, value in colorizer.state_dict().items()}
    _trainer(tmp_path, 1).fit(module, DataLoader(_slices(), batch_size=8), DataLoader(_slices(), batch_size=8))
    assert all(torch.equal(value, before[key]) for key, value in colorizer.state_dict().items())
    assert not colorizer.training
    assert all(key.startswith("network.") for key in module.state_dict())


def test_only_the_dense_layers_are_regularized_strongly() -> None:
    module = _module()
    dense, others, norms = module.configure_optimizers().param_groups
    assert {id(p) for p in dense["params"]} == {id(layer.weight) for layer in module.network.dense_layers()}
    assert (dense["weight_decay"], others["weight_decay"], norms["weight_decay"]) == (0.02, 0.001, 0.0)
    counted = sum(len(group["params"]) for group in (dense, others, norms))
    assert counted == len(list(module.network.parameters()))


def test_subtypes_add_to_the_loss() -> None:
    torch.manual_seed(0)
    module = SliceClassificationModule(
        SliceClassifier(TINY, head_features=8),
        GrayColorizer(),
        SliceAugmentation(size=26),
        torch.nn.CrossEntropyLoss(),
        SubtypeTask(("papillary", "oncocytoma"), weight=0.5),
        size=64,
    )
    logits = torch.randn(3, 2)
    loss = module._subtype_loss(logits, ["oncocytoma", "", "papillary"])
    expected = torch.nn.functional.cross_entropy(logits[[0, 2]], torch.tensor([1, 0]))
    torch.testing.assert_close(loss, expected)
    assert module._subtype_loss(logits, ["", "urothelial", ""]) == 0
    trained = {id(p) for group in module.configure_optimizers().param_groups for p in group["params"]}
    assert id(module.subtype_layer.weight) in trained
    assert not any("subtype" in key for key in module.network.state_dict())


def test_the_papers_regularization_is_added_to_the_loss(tmp_path) -> None:
    losses = {}
    for l2 in (0.0, 0.1):
        torch.manual_seed(0)
        module = _module(optimizer=AdamWSettings(dense_decay=0.0, other_decay=0.0, dense_l2=l2))
        module.log = lambda *args, **kwargs: None
        items = _slices()[:4]
        batch = {
            "image": torch.stack([i["image"] for i in items]), "label": torch.tensor([i["label"] for i in items])
        }  # fmt: skip
        torch.manual_seed(1)
        losses[l2] = module.training_step(batch, 0)
    squares = sum(layer.weight.square().sum() for layer in module.network.dense_layers())
    torch.testing.assert_close(losses[0.1] - losses[0.0], 0.1 * squares, atol=1e-4, rtol=1e-4)
    groups = module.configure_optimizers().param_groups
    assert {group["weight_decay"] for group in groups} == {0.0}


def test_the_largest_slices_are_scored_where_the_batches_name_them(tmp_path) -> None:
    slices = [{**item, "largest": index >= 8} for index, item in enumerate(_slices())]
    trainer = _trainer(tmp_path, 1)
    trainer.fit(_module(), DataLoader(slices, batch_size=8), DataLoader(slices, batch_size=8))
    logged = trainer.logged_metrics
    assert {"val_largest_accuracy", "val_largest_f1_benign", "val_vote_f1_malignant"} <= set(logged)
    assert logged["val_always_malignant_f1"] == pytest.approx(2 / 3)
