from __future__ import annotations

import math

import pytest
import pytorch_lightning as pl
import torch
from monai.inferers import SimpleInferer, SlidingWindowInferer
from monai.losses import DiceLoss, TverskyLoss
from torch import nn
from torch.utils.data import DataLoader

from nephro_monai.training.segmentation import SegmentationModule


class Thresholds(nn.Module):
    """Kidney above 0, tumor above 0.5; one parameter, so that there is something to train."""

    def __init__(self) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(50.0))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.sharpness * torch.cat([-image, torch.zeros_like(image), image - 0.5], dim=1)


def module(**settings: object) -> SegmentationModule:
    loss = DiceLoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    return SegmentationModule(
        Thresholds(), loss, SimpleInferer(), SlidingWindowInferer((16, 16, 8), 1, 0.0), **settings
    )


def crop(kidney: int, tumor: int, predicted_kidney: int, predicted_tumor: int) -> dict[str, torch.Tensor]:
    """Blocks along x: so many voxel planes are kidney and tumor in truth, and so many are predicted."""
    image, label = torch.full((1, 16, 16, 8), -1.0), torch.zeros(1, 16, 16, 8)
    image[:, :predicted_kidney], image[:, 8 : 8 + predicted_tumor] = 0.25, 1.0
    label[:, :kidney], label[:, 8 : 8 + tumor] = 1, 2
    return {"image": image, "label": label}


def validate(crops: list[dict[str, torch.Tensor]]) -> dict[str, float]:
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
    return trainer.validate(module(), DataLoader(crops, batch_size=1), verbose=False)[0]


def test_validation_dice_per_class():
    figures = validate([crop(4, 2, 4, 2), crop(4, 2, 2, 6)])
    assert figures["val_dice_kidney"] == pytest.approx((1 + 2 * 2 / 6) / 2)
    assert figures["val_dice_tumor"] == pytest.approx((1 + 2 * 2 / 8) / 2)
    assert figures["val_dice"] == pytest.approx((figures["val_dice_kidney"] + figures["val_dice_tumor"]) / 2)


def test_crops_without_a_tumor_do_not_count_for_tumor_dice():
    assert validate([crop(4, 2, 4, 2), crop(4, 0, 4, 0)])["val_dice_tumor"] == pytest.approx(1.0)


def test_training_lowers_the_loss_and_logs_it():
    torch.manual_seed(0)
    network = nn.Conv3d(1, 3, 1)
    loss = DiceLoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    task = SegmentationModule(network, loss, SimpleInferer(), SimpleInferer(), learning_rate=0.1)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=20, logger=False, enable_progress_bar=False, enable_checkpointing=False,
        enable_model_summary=False,
    )  # fmt: skip
    loader = DataLoader([crop(4, 4, 4, 4)] * 4, batch_size=2)
    trainer.fit(task, loader)
    assert float(trainer.callback_metrics["train_loss"]) < 0.4
    assert math.isfinite(float(trainer.callback_metrics["train_loss_epoch"]))


def test_only_kernels_decay():
    task = module(learning_rate=0.5, weight_decay=0.1)
    task.network = nn.Sequential(nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2))
    kernels, others = task.configure_optimizers().param_groups
    assert [p.ndim for p in kernels["params"]] == [5] and kernels["weight_decay"] == 0.1
    assert all(p.ndim == 1 for p in others["params"]) and others["weight_decay"] == 0.0
    assert kernels["lr"] == others["lr"] == 0.5


def test_kernels_are_channels_last():
    task = SegmentationModule(nn.Conv3d(2, 4, 3), DiceLoss(), SimpleInferer(), SimpleInferer())
    assert task.network.weight.is_contiguous(memory_format=torch.channels_last_3d)


def test_slices_train_too_and_zero_decay_is_adam():
    torch.manual_seed(0)
    loss = TverskyLoss(include_background=False, to_onehot_y=True, softmax=True, alpha=0.3, beta=0.7, batch=True)
    task = SegmentationModule(
        nn.Conv2d(1, 3, 1), loss, SimpleInferer(), SimpleInferer(), learning_rate=0.1, weight_decay=0.0
    )
    assert task.memory_format == torch.channels_last
    assert all(group["weight_decay"] == 0.0 for group in task.configure_optimizers().param_groups)
    slices = [{key: value[..., 0] for key, value in crop(4, 4, 4, 4).items()}] * 4
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=20, logger=False, enable_progress_bar=False, enable_checkpointing=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(task, DataLoader(slices, batch_size=2), DataLoader(slices, batch_size=2))
    assert float(trainer.callback_metrics["train_loss"]) < 0.4
    assert float(trainer.callback_metrics["val_dice"]) > 0.7


def test_in_validation_cysts_are_kidney_in_truth_and_in_prediction():
    class WithCysts(Thresholds):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.cat([super().forward(image), 50 * (0.1 - (image - 0.25).abs())], dim=1)

    item = crop(4, 2, 4, 2)
    item["label"][:, :2] = 3
    task = SegmentationModule(
        WithCysts(),
        DiceLoss(to_onehot_y=True, softmax=True),
        SimpleInferer(),
        SlidingWindowInferer((16, 16, 8), 1, 0.0),
    )
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
    figures = trainer.validate(task, DataLoader([item], batch_size=1), verbose=False)[0]
    assert figures["val_dice_kidney"] == pytest.approx(1.0) and figures["val_dice_tumor"] == pytest.approx(1.0)
    assert "val_dice_3" not in figures
