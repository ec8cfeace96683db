"""Training of segmentation networks on patches or slices, with sliding-window validation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from monai.inferers import Inferer
from monai.metrics import DiceMetric
from monai.networks import one_hot
from torch import nn

from nephro_monai.constants import LABEL_NAMES
from nephro_monai.losses.two_step import TwoStepLoss
from nephro_monai.networks.cyst_class import cysts_as_kidney, kidney_with_cysts
from nephro_monai.networks.two_step_head import network_outputs
from nephro_monai.training.processes import mean_of_items

__all__ = ["SegmentationModule"]


class SegmentationModule(pl.LightningModule):
    """Trains a segmentation network with AdamW; the schedule comes from `callbacks.CosineSchedule`.

    Batches are dictionaries with `image`, float (B, 1, X, Y, Z) as the network takes it, and `label`, (B, 1, X, Y, Z)
    with 0/1/2, or with 3 for cysts that the network tells from the kidney; both (B, 1, H, W) for networks on slices.
    In validation a cyst is kidney. Logged: `train_loss`; at validation `val_loss`, `val_dice_kidney`, `val_dice_tumor`
    (means over the crops that hold the class, with the class predicted as such) and `val_dice` (mean over the classes).

    Args:
        network: Gives logits (B, classes, X, Y, Z), or (B, classes, H, W).
        loss: Called with (logits, label); a `TwoStepLoss` also sees the first step of a two-step head.
        learning_rate: Highest learning rate of AdamW.
        weight_decay: Of AdamW; 0 makes it Adam.
        train_inferer: Runs the network on training patches.
        val_inferer: Runs the network on validation crops, which are larger than patches.
        channels_last: Keep weights and inputs in channels-last order (faster convolutions).
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        train_inferer: Inferer,
        val_inferer: Inferer,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-4,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.train_inferer = train_inferer
        self.val_inferer = val_inferer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.memory_format = _channels_last(network) if channels_last else torch.contiguous_format
        self.network.to(memory_format=self.memory_format)
        self.val_loss = mean_of_items()
        self.val_dice = DiceMetric(include_background=False, reduction="mean_batch", ignore_empty=True)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of `image`."""
        return self.network(image)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        """Loss of one batch of patches."""
        image = batch["image"].contiguous(memory_format=self.memory_format)
        if isinstance(self.loss, TwoStepLoss):
            loss = self.loss(self.train_inferer(image, partial(network_outputs, self.network)), batch["label"])
        else:
            loss = self.loss(self.train_inferer(image, self.network).float(), batch["label"])
        self.log("train_loss", loss, prog_bar=True, on_step=True, on_epoch=True, batch_size=len(image))
        return loss

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Dice per class of one crop."""
        image = batch["image"].contiguous(memory_format=self.memory_format)
        logits = self.val_inferer(image, self.network).float()
        self.val_loss.update(self.loss(logits, batch["label"]), len(image))
        self.log("val_loss", self.val_loss)
        probabilities = kidney_with_cysts(torch.softmax(logits, dim=1).transpose(0, 1))
        classes = len(probabilities)
        prediction = one_hot(probabilities.argmax(0)[:, None], classes)
        self.val_dice(prediction, one_hot(cysts_as_kidney(batch["label"]).long(), classes))

    def on_validation_epoch_end(self) -> None:
        """Logs the mean Dice of each class."""
        per_class = torch.as_tensor(self.val_dice.aggregate())
        self.val_dice.reset()
        names = [LABEL_NAMES.get(index, str(index)) for index in range(1, 1 + len(per_class))]
        for name, value in zip(names, per_class, strict=True):
            self.log(f"val_dice_{name}", value, prog_bar=True)
        self.log("val_dice", per_class.mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW; weight decay on convolution kernels only, not on norms and biases."""
        kernels = [p for p in self.network.parameters() if p.requires_grad and p.ndim > 1]
        others = [p for p in self.network.parameters() if p.requires_grad and p.ndim <= 1]
        groups = [{"params": kernels, "weight_decay": self.weight_decay}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.AdamW([g for g in groups if g["params"]], lr=self.learning_rate)


def _channels_last(network: nn.Module) -> torch.memory_format:
    """Channels-last order for the network's kernels, of slices or of volumes."""
    kernels = {parameter.ndim for parameter in network.parameters()}
    return torch.channels_last if 4 in kernels and 5 not in kernels else torch.channels_last_3d
