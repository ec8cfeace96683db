"""The multi-task module: scores by hand, every kind of network, and learning."""

from __future__ import annotations

import numpy as np
import pytest
import pytorch_lightning as pl
import timm
import torch
from monai.networks.nets import BasicUNet
from torch.utils.data import DataLoader

from nephro_monai.losses.multi_task import MultiTaskLoss
from nephro_monai.networks.pyramid import PSPNet
from nephro_monai.networks.scnet import SCNet
from nephro_monai.networks.two_step_head import TwoStepNetwork
from nephro_monai.networks.vnet import VNet
from nephro_monai.training.multi_task import MultiTaskModule, classification_scores

NARROW = {"name": "resnet10t", "channels": [8, 12, 16, 24], "stem_width": 8}


def _slices(count: int = 12, size: int = 48) -> list[dict]:
    """Bright squares in a dark disc: malignant ones striped, benign ones plain, every third slice without."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    items = []
    for n in range(count):
        kind = n % 3
        label = (((x - 24) ** 2 + (y - 24) ** 2) < 15**2).to(torch.uint8)
        image = label.float() * 0.6 - 0.5
        if kind != 2:
            left, top = (int(v) for v in torch.randint(14, 24, (2,), generator=generator))
            where = (x >= left) & (x < left + 12) & (y >= top) & (y < top + 12)
            label[where] = 2
            image[where] = 0.9 if kind == 0 else 0.9 - 1.4 * ((x + y) % 4 < 2).float()[where]
        image = image + 0.05 * torch.randn(size, size, generator=generator)
        items.append({"image": image[None], "label": label[None], "slice_class": kind, "case": f"case_{n}"})
    return items


def _fit(network, steps: int, loss: MultiTaskLoss | None = None, batch_size: int = 6):
    pl.seed_everything(0, verbose=False)
    module = MultiTaskModule(network, loss or MultiTaskLoss(), learning_rate=5e-3)
    loader = DataLoader(_slices(), batch_size=batch_size)
    trainer = pl.Trainer(
        max_steps=steps, max_epochs=-1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, loader)
    return trainer.validate(module, loader, verbose=False)[0]


def test_scnet_lowers_its_loss_and_reports_all_tasks():
    losses = []
    loss = MultiTaskLoss()
    loss.register_forward_hook(lambda _, __, terms: losses.append(float(terms["loss"].detach())))
    after = _fit(SCNet(encoder=NARROW, class_features=[16], dropout=0.0), 24, loss)
    assert np.mean(losses[20:24]) < 0.6 * np.mean(losses[:4])
    assert set(after) == {
        "val_loss", "val_dice", "val_dice_kidney", "val_dice_tumor", "val_slice_accuracy",
        "val_slice_balanced_accuracy", "val_patient_balanced_accuracy",
    }  # fmt: skip


@pytest.mark.slow
def test_scnet_overfits_a_dozen_slices():
    after = _fit(SCNet(encoder=NARROW, class_features=[16], dropout=0.0), 250)
    assert after["val_dice_tumor"] > 0.9
    assert after["val_slice_accuracy"] == 1.0 == after["val_patient_balanced_accuracy"]


@pytest.mark.parametrize(
    ("network", "tasks"),
    [
        (lambda: BasicUNet(2, 1, 3, features=(4, 4, 8, 8, 8, 4)), {"ternary"}),
        (lambda: PSPNet(encoder=NARROW, features=8), {"ternary"}),
        (lambda: SCNet(encoder=NARROW, class_features=[8]), {"ternary", "binary", "classification"}),
        (
            lambda: timm.create_model("resnet10t", in_chans=1, num_classes=3, channels=(4, 4, 4, 4), stem_width=4),
            {"classification"},
        ),
    ],
    ids=["unet", "pspnet", "scnet", "resnet"],
)
def test_every_baseline_trains_with_the_terms_it_has(network, tasks):
    module = MultiTaskModule(network(), MultiTaskLoss())
    batch = {
        "image": torch.randn(2, 1, 54, 54), "label": torch.randint(0, 3, (2, 1, 54, 54)),
        "slice_class": torch.tensor([0, 2]),
    }  # fmt: skip
    terms = module.loss(module(batch["image"]), batch["label"], batch["slice_class"])
    assert set(terms) == tasks | {"loss"}
    terms["loss"].backward()


def test_a_vnet_with_the_two_step_head_trains_on_volumes():
    module = MultiTaskModule(TwoStepNetwork(VNet(width=2), "out_tr"), MultiTaskLoss())
    terms = module.loss(module(torch.randn(1, 1, 32, 32, 16)), torch.randint(0, 3, (1, 1, 32, 32, 16)), None)
    assert set(terms) == {"ternary", "binary", "loss"}
    assert module.memory_format == torch.channels_last_3d


def test_classification_scores_by_hand():
    benign, malignant, normal, _ = np.eye(4)[:, :3] + 0.1 * np.eye(4)[:, :3]
    probabilities = np.stack([malignant, malignant, normal, benign, benign, normal, malignant, benign, normal])
    cases = ["a", "a", "a", "b", "b", "b", "c", "c", "d"]
    targets = np.array([1, 1, 2, 0, 0, 1 - 1, 0, 0, 2])
    scores = classification_scores(cases, probabilities, targets)
    assert scores["slice_accuracy"] == pytest.approx(7 / 9)
    assert scores["slice_balanced_accuracy"] == pytest.approx((3 / 5 + 1 + 1) / 3)
    # a is malignant and called so, b benign and called so, c tied and thus wrong, d has no tumor to be told.
    assert scores["patient_balanced_accuracy"] == pytest.approx((1 + 1 / 2) / 2)
    assert classification_scores(["a"], probabilities[:1], np.array([-1])) == {}
