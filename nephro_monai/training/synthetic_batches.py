"""Training on CT that is made for every batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

__all__ = ["SynthesizeBatches"]

Pair = tuple[torch.Tensor, torch.Tensor]


class SynthesizeBatches(Callback):
    """Makes `image` and `label` of every training batch from its `tissues`, on the batch's own device.

    Takes the place of `AugmentBatches`: stands after `ReproducibleSteps`, which seeds what is drawn here.

    Args:
        synthesis: Gives HU and labels of (B, 1, X, Y, Z) tissue maps, such as `phantom.CTSynthesis`.
        augmentation: Called with (HU, labels), gives what the network sees; without noise of its own, as the
            synthesis has the scanner's already.
    """

    def __init__(
        self,
        synthesis: Callable[[torch.Tensor], Pair],
        augmentation: Callable[[torch.Tensor, torch.Tensor], Pair],
    ) -> None:
        self.synthesis = synthesis
        self.augmentation = augmentation

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Replaces the batch's tissues by image and label."""
        batch["image"], batch["label"] = self.augmentation(*self.synthesis(batch.pop("tissues")))
