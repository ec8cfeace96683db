"""Training of the slice classifier on colored tumor slices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional

from nephro_monai.constants import COLORIZATION_WINDOW_HU
from nephro_monai.metrics.slice_votes import patient_scores
from nephro_monai.networks.slice_classifier import SliceClassifier
from nephro_monai.stages.colorize import colorize_slices
from nephro_monai.training.processes import from_all_processes, mean_of_items
from nephro_monai.training.slice_augmentation import SliceAugmentation, center_crop

__all__ = ["AdamWSettings", "SliceClassificationModule", "SubtypeTask"]


@dataclass(frozen=True)
class AdamWSettings:
    """How the classifier is optimized.

    Attributes:
        learning_rate: Highest learning rate.
        dense_decay: Weight decay of the two dense layers; the paper regularizes them with L2.
        other_decay: Weight decay of all other weights; norms and biases have none.
        dense_l2: The paper's own regularization: this times the sum of the squared weights of the two dense layers is
            added to the loss (the paper does not give the factor). With both decays 0, AdamW is the paper's Adam.
    """

    learning_rate: float = 1e-3
    dense_decay: float = 0.02
    other_decay: float = 0.001
    dense_l2: float = 0.0


@dataclass(frozen=True)
class SubtypeTask:
    """A second task for training: telling the histologic subtype from the same features.

    Benign and malignant are heaps of unlike subtypes (a fatty angiomyolipoma, an oncocytoma with its scar); naming them
    one by one is learned faster than the heaps. The layer for it is dropped after training.

    Attributes:
        names: Subtypes as in `kits.json`; slices of others are left out of this task.
        weight: Of its cross-entropy in the loss.
    """

    names: tuple[str, ...]
    weight: float = 0.5


class SliceClassificationModule(pl.LightningModule):
    """Binary cross-entropy on slices that went through the same windowing and colorization as in inference.

    Slices are varied in HU first and colored afterwards, batch by batch, by the frozen colorizer: so the classifier
    sees the colorizer's own mistakes on noisy and shifted slices. That costs about as much as the training step itself.

    Batches are dictionaries with `image`, (B, 1, H, W) in HU, `label` (B) with 0 benign and 1 malignant, `case` (list
    of B names) and, for `subtypes`, `subtype` (list of B names); in validation also `largest` (B), true for the slice
    with the patient's largest tumor area. Logged: `train_loss`, `train_accuracy`; at validation `val_loss` and, with
    `val_` before them, the scores of `metrics.slice_votes.patient_scores`, as far as the validation cases are of both
    kinds: per slice, by majority of a patient's slices, and on the largest slices, which is how the paper tests.

    Args:
        network: To train.
        colorizer: Frozen; see `stages.colorize_slices`.
        augmentation: Random variants; its `size` is that of the tumor slices in inference.
        loss: Called with (logits, label); cross-entropy with class weights in the paper.
        subtypes: Second task, or None.
        optimizer: Learning rate and weight decay.
        size: Rows and columns of the colored slices.
    """

    def __init__(
        self,
        network: SliceClassifier,
        colorizer: Callable[[torch.Tensor], torch.Tensor],
        augmentation: SliceAugmentation,
        loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        subtypes: SubtypeTask | None = None,
        optimizer: AdamWSettings | None = None,
        size: int = 256,
    ) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        # In a tuple, so that Lightning neither trains nor checkpoints it.
        self._frozen = (colorizer.eval() if isinstance(colorizer, nn.Module) else colorizer,)
        self.augmentation = augmentation
        self.loss = loss
        self.subtypes = subtypes
        last = network.head[-1]
        self.subtype_layer = nn.Linear(last.in_features, len(subtypes.names)) if subtypes else None  # type: ignore[arg-type]
        self.optimizer_settings = optimizer or AdamWSettings()
        self.size = size
        self.val_loss = mean_of_items()
        self._seen: list[dict[str, Any]] = []

    def on_fit_start(self) -> None:
        """Moves the colorizer to where the training runs."""
        if isinstance(self._frozen[0], nn.Module):
            self._frozen[0].requires_grad_(False).to(self.device)

    def forward(self, hu: torch.Tensor) -> torch.Tensor:
        """Logits (B, 2) of slices in HU."""
        return self.network(self._colored(hu)).float()

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        """Loss of one batch of random variants."""
        hu, _ = self.augmentation(batch["image"].float())
        features = self.network.features(self._colored(hu))
        logits = self.network.head[-1](features).float()
        loss = self.loss(logits, batch["label"])
        if self.subtypes is not None and self.subtype_layer is not None:
            loss = loss + self.subtypes.weight * self._subtype_loss(self.subtype_layer(features), batch["subtype"])
        if self.optimizer_settings.dense_l2 > 0:
            loss = loss + self.optimizer_settings.dense_l2 * self._dense_squares()
        right = (logits.argmax(1) == batch["label"]).float().mean()
        self.log("train_loss", loss, prog_bar=True, on_step=True, on_epoch=True, batch_size=len(hu))
        self.log("train_accuracy", right, prog_bar=True, on_step=False, on_epoch=True, batch_size=len(hu))
        return loss

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Collects the probabilities of one batch."""
        logits = self(center_crop(batch["image"].float(), self.augmentation.size))
        loss = functional.cross_entropy(logits, batch["label"])
        self.val_loss.update(loss, len(logits))
        self.log("val_loss", self.val_loss)
        probabilities = torch.softmax(logits, dim=1)[:, 1]
        seen = {"case": list(batch["case"]), "probability": probabilities.cpu(), "label": batch["label"].cpu()}
        if "largest" in batch:
            seen["largest"] = torch.as_tensor(batch["largest"]).cpu()
        self._seen.append(seen)

    def on_validation_epoch_end(self) -> None:
        """Logs slice and patient figures of the validation slices of all processes."""
        seen, self._seen = from_all_processes(self._seen), []
        if not seen:
            return
        cases = [case for batch in seen for case in batch["case"]]
        columns = {key: torch.cat([batch[key] for batch in seen]).numpy() for key in seen[0] if key != "case"}
        scores = patient_scores(cases, columns["probability"], columns["label"], columns.get("largest"))
        for name, value in scores.items():
            self.log(f"val_{name}", value, prog_bar=name.endswith("balanced_accuracy"), sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW; stronger decay on the two dense layers, none on norms and biases."""
        settings = self.optimizer_settings
        dense = [layer.weight for layer in self.network.dense_layers()]
        chosen = {id(p) for p in dense}
        others = [p for p in self.parameters() if p.requires_grad and id(p) not in chosen]
        groups = [
            {"params": dense, "weight_decay": settings.dense_decay},
            {"params": [p for p in others if p.ndim > 1], "weight_decay": settings.other_decay},
            {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=settings.learning_rate)

    def _colored(self, hu: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            colored = colorize_slices(hu, self._frozen[0], COLORIZATION_WINDOW_HU, self.size)
        return colored.contiguous(memory_format=torch.channels_last)

    def _dense_squares(self) -> torch.Tensor:
        """Sum of the squared weights of the two dense layers."""
        return torch.stack([layer.weight.float().square().sum() for layer in self.network.dense_layers()]).sum()

    def _subtype_loss(self, logits: torch.Tensor, names: Sequence[str]) -> torch.Tensor:
        """Mean cross-entropy over the slices of known subtype; 0 where there is none."""
        known = self.subtypes.names if self.subtypes else ()
        index = torch.tensor([known.index(name) if name in known else -1 for name in names], device=logits.device)
        total = functional.cross_entropy(logits.float(), index, ignore_index=-1, reduction="sum")
        return total / (index >= 0).sum().clamp(min=1)
