"""Training of the kidney detector."""

from __future__ import annotations

import pytorch_lightning as pl
import torch

from nephro_monai.metrics.detection import detection_recall_precision, match_counts
from nephro_monai.networks.faster_rcnn import KidneyFasterRCNN, load_pretrained
from nephro_monai.training.processes import from_all_processes

__all__ = ["KidneyDetectionModule"]


class KidneyDetectionModule(pl.LightningModule):
    """Fits a `KidneyFasterRCNN`: the sum of its four losses, with AdamW.

    Logs every loss, and on validation slices recall and precision at IoU 0.5 (Kamkova 2019, equations 2 and 3).

    Args:
        network: Trained in place.
        learning_rate: Highest learning rate.
        weight_decay: Of AdamW.
        pretrained: File of torchvision's ImageNet or COCO weights to start from (see `load_pretrained`).
        score_threshold: Detections below it do not count in validation.
    """

    def __init__(
        self,
        network: KidneyFasterRCNN,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-4,
        pretrained: str | None = None,
        score_threshold: float = 0.5,
    ) -> None:
        super().__init__()
        if pretrained is not None:
            load_pretrained(network, pretrained)
        self.network = network.to(memory_format=torch.channels_last)
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.score_threshold = score_threshold
        self._counts: list[tuple[int, int, int]] = []

    def training_step(self, batch: tuple[torch.Tensor, list[dict[str, torch.Tensor]]], batch_idx: int) -> torch.Tensor:
        """Sum of the losses of a batch from `collate_slices`."""
        images, targets = batch
        losses = self.network.losses(images, targets)
        total = torch.stack(list(losses.values())).sum()
        self.log_dict({f"train_{name}": value.detach() for name, value in losses.items()}, batch_size=len(images))
        self.log("train_loss", total.detach(), prog_bar=True, batch_size=len(images))
        return total

    def validation_step(self, batch: tuple[torch.Tensor, list[dict[str, torch.Tensor]]], batch_idx: int) -> None:
        """Matches detections to the true boxes."""
        images, targets = batch
        for rows, target in zip(self.network(images), targets, strict=True):
            found = rows[:, rows[4] >= self.score_threshold]
            self._counts.append(match_counts(found[:4].t(), found[4], target["boxes"]))

    def on_validation_epoch_end(self) -> None:
        """Logs recall and precision over all validation slices."""
        counts, self._counts = from_all_processes(self._counts), []
        recall, precision = detection_recall_precision(counts)
        self.log_dict({"val_recall": recall, "val_precision": precision}, prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW over what is not frozen; the schedule comes from `callbacks.CosineSchedule`."""
        trained = [p for p in self.network.parameters() if p.requires_grad]
        return torch.optim.AdamW(trained, lr=self.learning_rate, weight_decay=self.weight_decay)
