"""Training of the colorization networks on tissue maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch.nn import functional

from nephro_monai.constants import COLORIZATION_WINDOW_HU
from nephro_monai.geometry import resample_to_shape
from nephro_monai.geometry.intensity import window_to_unit
from nephro_monai.training.color_objectives import Colorizer, color_objective
from nephro_monai.training.color_table import ColorTable
from nephro_monai.training.processes import from_all_processes
from nephro_monai.training.slice_augmentation import SliceAugmentation, center_crop

__all__ = ["ColorizationModule"]


class ColorizationModule(pl.LightningModule):
    """Trains a colorizer on colors that tissue decides instead of photographs.

    Each network is trained in the formulation of its own paper (see `color_objectives`): classification of quantized
    colors for `ColorfulColorizer`, regression for `LetThereBeColor`, histograms of hue and chroma for
    `HypercolumnColorizer`. All have the same targets, augmentation and validation.

    Batches are dictionaries with `image`, (B, 1, H, W) in HU, and `tissues`, (B, 1, H, W) ids, at the pixel spacing
    of the tumor slices. Logged: `train_loss`; at validation `val_ab_error` (mean distance in ab units), the
    same per color group, and `val_color_accuracy` (mean over the groups of the share of pixels whose predicted color is
    nearest to their own), at the resolution at which the network predicts colors.

    Args:
        network: To train.
        color_table: Color of each tissue.
        tissue_fractions: Share of the training pixels per tissue id, for formulations that weight rare colors up.
        augmentation: Random variants; its `size` is what is cut from the slices in training and validation.
        network_size: Rows and columns the cut is resized to. The ratio to `augmentation.size` must be that of
            inference (256 : 130), so that tissue has the size it will have there; a smaller cut is faster.
        learning_rate: Highest learning rate of AdamW.
        weight_decay: Of AdamW.
    """

    def __init__(
        self,
        network: Colorizer,
        color_table: ColorTable,
        tissue_fractions: Sequence[float],
        augmentation: SliceAugmentation,
        network_size: int = 256,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-4,
    ) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self.color_table = color_table
        self.objective = color_objective(network, color_table, tissue_fractions)
        self.augmentation = augmentation
        self.network_size = network_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self._errors: list[torch.Tensor] = []

    def forward(self, gray: torch.Tensor) -> torch.Tensor:
        """RGB of windowed slices."""
        return self.network(gray)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        """Loss of one batch of random variants."""
        maps = self.color_table.group_maps(batch["tissues"])
        hu, moved = self.augmentation(batch["image"].float(), maps)
        loss = self.objective(self._gray(hu), moved)
        self.log("train_loss", loss, prog_bar=True, on_step=True, on_epoch=True, batch_size=len(hu))
        return loss

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Collects the color errors of one batch."""
        size = self.augmentation.size
        maps = center_crop(self.color_table.group_maps(batch["tissues"]), size)
        predicted = self.network.predict_ab(self._gray(center_crop(batch["image"].float(), size)))
        shares = functional.interpolate(maps, size=predicted.shape[2:], mode="area")
        error = torch.linalg.vector_norm(predicted - self.color_table.ab_maps(shares), dim=1)
        distance = torch.cdist(predicted.permute(0, 2, 3, 1).flatten(0, 2), self.color_table.ab)
        groups = shares.argmax(1).flatten()
        # Groups may share a color, such as white bone and unchanged air: not "the nearest", but "none is nearer".
        own = distance.gather(1, groups[:, None])[:, 0]
        right = (own <= distance.amin(1) + 1e-3).float()
        count = len(self.color_table.names)
        rows = torch.stack([torch.ones_like(right), error.flatten(), right], dim=1)
        self._errors.append(torch.zeros(count, 3, device=rows.device).index_add(0, groups, rows).cpu())

    def on_validation_epoch_end(self) -> None:
        """Logs errors and accuracy per color group."""
        errors, self._errors = from_all_processes(self._errors), []
        if not errors:
            return
        totals = torch.stack(errors).sum(0)
        seen = totals[:, 0] > 0
        per_group = totals[:, 1:] / totals[:, :1].clamp(min=1)
        for name, there, (error, accuracy) in zip(self.color_table.names, seen, per_group, strict=True):
            if there:
                self.log(f"val_ab_error_{name}", error, sync_dist=True)
                self.log(f"val_accuracy_{name}", accuracy, sync_dist=True)
        self.log("val_ab_error", totals[:, 1].sum() / totals[:, 0].sum(), prog_bar=True, sync_dist=True)
        self.log("val_color_accuracy", per_group[seen, 1].mean(), prog_bar=True, sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW over what is trained (quantized colors are not)."""
        trained = [p for p in self.network.parameters() if p.requires_grad]
        return torch.optim.AdamW(trained, lr=self.learning_rate, weight_decay=self.weight_decay)

    def _gray(self, hu: torch.Tensor) -> torch.Tensor:
        """What the network sees: windowed to 0..1 and resized."""
        gray = window_to_unit(hu, COLORIZATION_WINDOW_HU, 0.0, 1.0)
        return resample_to_shape(gray, (self.network_size, self.network_size))
