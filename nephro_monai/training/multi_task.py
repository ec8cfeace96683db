"""Training of networks that outline slices and classify them, in any combination (Pan 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from sklearn.metrics import balanced_accuracy_score
from torch import nn

from nephro_monai.constants import KIDNEY, SLICE_CLASS_NAMES, TUMOR
from nephro_monai.losses.multi_task import MultiTaskLoss
from nephro_monai.metrics.dice import dice_from_counts, label_counts
from nephro_monai.networks.two_step_head import MultiTaskOutput, network_outputs
from nephro_monai.training.processes import from_all_processes, mean_of_items

__all__ = ["MultiTaskModule", "classification_scores"]

_BENIGN, _MALIGNANT, _NORMAL = range(len(SLICE_CLASS_NAMES))


@dataclass
class _Seen:
    """What validation has seen so far."""

    counts: np.ndarray
    cases: list[str]
    probabilities: list[torch.Tensor]
    targets: list[torch.Tensor]


class MultiTaskModule(pl.LightningModule):
    """Trains SCNet and its baselines with AdamW; the schedule comes from `callbacks.CosineSchedule`.

    The network is one with `outputs` (SCNet, `TwoStepNetwork`), a plain segmentation network (U-Net, PSPNet), or a
    plain slice classifier (ResNet-50): what it gives decides which terms the loss has.

    Batches are dictionaries with `image`, float (B, phases, *spatial) already windowed, `label` (B, 1, *spatial) with
    0/1/2, `slice_class` (B) with indices of `constants.SLICE_CLASS_NAMES` or -1, and `case` (list of B names).
    Logged: `train_loss` and its terms; at validation `val_loss`; `val_dice_kidney` (kidney with tumor),
    `val_dice_tumor` and `val_dice` over all validation slices as one; `val_slice_accuracy`,
    `val_slice_balanced_accuracy` and `val_patient_balanced_accuracy` (see `classification_scores`).

    Args:
        network: To train.
        loss: Sum of cross-entropies.
        learning_rate: Highest learning rate of AdamW.
        weight_decay: Of AdamW, on kernels only.
        channels_last: Keep weights and inputs in channels-last order (faster convolutions).
    """

    def __init__(
        self,
        network: nn.Module,
        loss: MultiTaskLoss,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-4,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        kernels = {parameter.ndim for parameter in network.parameters()}
        last = torch.channels_last_3d if 5 in kernels else torch.channels_last
        self.memory_format = last if channels_last else torch.contiguous_format
        self.network = network.to(memory_format=self.memory_format)
        self.loss = loss
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.val_loss = mean_of_items()
        self._seen = _nothing()

    def forward(self, image: torch.Tensor) -> MultiTaskOutput:
        """What the network says of `image`."""
        return network_outputs(self.network, image.contiguous(memory_format=self.memory_format))

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        """Loss of one batch."""
        terms = self.loss(self(batch["image"]), batch.get("label"), batch.get("slice_class"))
        size = len(batch["image"])
        self.log("train_loss", terms["loss"], prog_bar=True, on_step=True, on_epoch=True, batch_size=size)
        for name, value in terms.items():
            if name != "loss":
                self.log(f"train_{name}", value, on_step=False, on_epoch=True, batch_size=size)
        return terms["loss"]

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Collects outlines and classes of one batch."""
        outputs = self(batch["image"])
        terms = self.loss(outputs, batch.get("label"), batch.get("slice_class"))
        self.val_loss.update(terms["loss"], len(batch["image"]))
        self.log("val_loss", self.val_loss)
        if outputs.ternary is not None:
            prediction = outputs.ternary.argmax(1, keepdim=True).cpu().numpy()
            self._seen.counts += label_counts(prediction, batch["label"].cpu().numpy())
        if outputs.classes is not None:
            self._seen.cases += list(batch["case"])
            self._seen.probabilities.append(torch.softmax(outputs.classes.float(), 1).cpu())
            self._seen.targets.append(batch["slice_class"].cpu())

    def on_validation_epoch_end(self) -> None:
        """Logs the scores of the validation slices of all processes."""
        seen, self._seen = _joined(from_all_processes([self._seen])), _nothing()
        if seen.counts.any():
            kidney, tumor = dice_from_counts(seen.counts, (KIDNEY, TUMOR)), dice_from_counts(seen.counts, (TUMOR,))
            for name, value in (("_kidney", kidney), ("_tumor", tumor), ("", (kidney + tumor) / 2)):
                self.log(f"val_dice{name}", value, prog_bar=True, sync_dist=True)
        if seen.cases:
            found = torch.cat(seen.probabilities).numpy(), torch.cat(seen.targets).numpy()
            for name, value in classification_scores(seen.cases, *found).items():
                self.log(f"val_{name}", value, prog_bar=name == "slice_accuracy", sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW; weight decay on kernels only, not on norms and biases."""
        kernels = [p for p in self.network.parameters() if p.requires_grad and p.ndim > 1]
        others = [p for p in self.network.parameters() if p.requires_grad and p.ndim <= 1]
        groups = [{"params": kernels, "weight_decay": self.weight_decay}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.AdamW([g for g in groups if g["params"]], lr=self.learning_rate)


def classification_scores(cases: list[str], probabilities: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Scores of slice classes, and of the patients' majority votes.

    A patient's slices that are judged to hold tumor vote (Pan 2019, section III-B); a tied vote and a patient without
    such a slice count as wrong. Only patients with a slice that does hold tumor are scored.

    Args:
        cases: Patient of each slice.
        probabilities: (S, 3), in the order of `constants.SLICE_CLASS_NAMES`.
        targets: (S,) class of each slice, -1 where it is not known (left out).

    Returns:
        `slice_accuracy`, `slice_balanced_accuracy` (mean recall of the classes that occur) and, with patients of both
        kinds, `patient_balanced_accuracy`.
    """
    known = targets >= 0
    if not known.any():
        return {}
    names, judged = np.asarray(cases)[known], probabilities[known].argmax(1)
    truth = targets[known]
    recalls = [float((judged[truth == value] == value).mean()) for value in np.unique(truth)]
    scores = {
        "slice_accuracy": float((judged == truth).mean()),
        "slice_balanced_accuracy": float(np.mean(recalls)),
    }
    wanted, voted = [], []
    for name in np.unique(names):
        own = truth[(names == name) & (truth != _NORMAL)]
        if not len(own):
            continue
        votes = np.bincount(judged[names == name], minlength=3)
        wanted.append(int(own[0]))
        tied = votes[_BENIGN] == votes[_MALIGNANT]
        voted.append(1 - wanted[-1] if tied else int(votes[_MALIGNANT] > votes[_BENIGN]))
    if len(set(wanted)) == 2:
        scores["patient_balanced_accuracy"] = float(balanced_accuracy_score(wanted, voted))
    return scores


def _nothing() -> _Seen:
    return _Seen(np.zeros((3, 3), np.int64), [], [], [])


def _joined(parts: list[_Seen]) -> _Seen:
    joined = _nothing()
    for part in parts:
        joined.counts += part.counts
        joined.cases += part.cases
        joined.probabilities += part.probabilities
        joined.targets += part.targets
    return joined
