"""Training of all fold models of a cross-validation at once: image level and patient level (Zhou 2019)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from monai.data import MetaTensor
from torch import nn

from nephro_monai.constants import CLASS_NAMES
from nephro_monai.metrics.classification import VerdictScores, score_verdicts
from nephro_monai.metrics.decision_threshold import youden_threshold
from nephro_monai.networks.fold_vote import FoldVote
from nephro_monai.stages.colorize import colorize_slices
from nephro_monai.training.processes import from_all_processes, mean_of_items
from nephro_monai.training.slice_augmentation import SliceAugmentation, center_crop

__all__ = [
    "ColoredSlices",
    "FoldClassificationModule",
    "SGDSettings",
    "fold_scores",
    "majority_of_slices",
]

_LOGGED = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "ppv", "npv", "mcc", "auc")


@dataclass(frozen=True)
class SGDSettings:
    """How the fold models are optimized; the values of the paper by default.

    Attributes:
        learning_rate: Highest learning rate.
        momentum: Of the gradient.
        weight_decay: L2 on weights (not on norms and biases); the paper has it on its GRU model, without a number.
    """

    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0


class ColoredSlices(nn.Module):
    """Image-level inputs: random variants in training, the middle in validation, both colored as in the cascade.

    Args:
        colorizer: The paper's three windows: `stages.ThreeWindowColorizer`.
        augmentation: Random variants; its `size` is that of the tumor slices in inference. None for none.
        crop: Rows and columns of the tumor slices in inference.
        size: Rows and columns of the colored slices, 299 in the paper.
    """

    def __init__(
        self,
        colorizer: Callable[[torch.Tensor], torch.Tensor],
        augmentation: SliceAugmentation | None = None,
        crop: int = 130,
        size: int = 299,
    ) -> None:
        super().__init__()
        self.colorizer = colorizer
        self.augmentation = augmentation
        self.crop = crop
        self.size = size

    @torch.no_grad()
    def forward(self, hu: torch.Tensor, training: bool) -> torch.Tensor:
        """(B, 1, H, W) in HU to (B, 3, size, size) in 0..1."""
        hu = hu.float()
        hu = self.augmentation(hu)[0] if training and self.augmentation is not None else center_crop(hu, self.crop)
        return colorize_slices(hu, self.colorizer, size=self.size).contiguous(memory_format=torch.channels_last)


class FoldClassificationModule(pl.LightningModule):
    """Trains each model of a `FoldVote` on the patients outside its fold, all in one run.

    That equals one run per fold with the same batches. Validation gives every item to the one model that has not seen
    it, sets that model's decision threshold from its ROC curve, and logs the mean over the folds (`val_auc`,
    `val_accuracy`, `val_sensitivity`, ...; figures at a threshold are a little too good, since the threshold is fitted
    on the same patients, as in the paper). `test_...` is the vote of all models on patients that none has seen; for
    several items per patient also `test_patient_...`, by the majority of the items.

    Batches are dictionaries with the input, `label` (B) with 0 benign and 1 malignant, `fold` (B) and `case` (list of B
    names).

    Args:
        network: Of image-level or patient-level models.
        loss: Called with (logits, label); cross-entropy in the paper.
        optimizer: Settings of the stochastic gradient descent.
        inputs: Turns the batch's input into the network's, called with it and whether training runs; None leaves it.
        input_key: Where the batch's input is.
    """

    def __init__(
        self,
        network: FoldVote,
        loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        optimizer: SGDSettings | None = None,
        inputs: Callable[[torch.Tensor, bool], torch.Tensor] | None = None,
        input_key: str = "image",
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.optimizer_settings = optimizer or SGDSettings()
        self.inputs = inputs
        self.input_key = input_key
        self.val_loss = mean_of_items()
        self._seen: list[tuple[list[str], torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> torch.Tensor | None:
        """Sum over the models of the loss on what lies outside their folds; None where nothing does."""
        inputs, label, fold = self._inputs(batch, training=True), batch["label"], batch["fold"]
        losses, right = [], []
        for index, network in enumerate(self.network.networks):
            others = fold != index
            if int(others.sum()) < 2:  # batch norm needs two
                continue
            logits = cast("Any", network).logits(self.network.inputs_of(index, inputs)[others]).float()
            losses.append(self.loss(logits, label[others]))
            right.append((logits.argmax(1) == label[others]).float().mean())
        if not losses:
            return None
        total = torch.stack(losses)
        size = len(label)
        self.log("train_loss", total.mean(), prog_bar=True, on_step=True, on_epoch=True, batch_size=size)
        self.log("train_accuracy", torch.stack(right).mean(), prog_bar=True, on_epoch=True, batch_size=size)
        return total.sum()

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Collects the probabilities of the models that have not seen the items."""
        logits = self.unseen_logits(batch)
        self.val_loss.update(self.loss(logits, batch["label"]), len(logits))
        self.log("val_loss", self.val_loss)
        self._collect(batch, logits)

    def unseen_logits(self, batch: dict[str, Any], thresholds: bool = False) -> torch.Tensor:
        """Logits of each item by the one model that has not seen its patient.

        Args:
            batch: With the input and `fold`.
            thresholds: Whether the logits are moved by the model's decision threshold: the larger one is its answer.

        Returns:
            (B, 2) float32.
        """
        inputs, fold = self._inputs(batch, training=False), batch["fold"]
        logits = torch.zeros((len(fold), 2), device=fold.device)
        for index, network in enumerate(self.network.networks):
            own = fold == index
            if own.any():
                answer = network if thresholds else cast("Any", network).logits
                logits[own] = answer(self.network.inputs_of(index, inputs)[own]).float()
        return logits

    def on_validation_epoch_end(self) -> None:
        """Sets the decision thresholds and logs the mean scores of the folds."""
        _, malignant, probabilities, fold = self._collected()
        found = []
        for index, network in enumerate(self.network.networks):
            own = fold == index
            if 0 < malignant[own].sum() < own.sum():  # both classes, else there is no ROC curve
                threshold, scores = fold_scores(malignant[own], probabilities[own])
                cast("Any", network).threshold.set(threshold)
                self.log(f"val_threshold_{index}", threshold, sync_dist=True)
                found.append(scores)
        for name in _LOGGED if found else ():
            values = [value for scores in found if (value := getattr(scores, name)) is not None]
            if values:
                self.log(f"val_{name}", float(np.mean(values)), prog_bar=name == "auc", sync_dist=True)

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Collects the votes of all models."""
        self._collect(batch, self.network(self._inputs(batch, training=False)).float())

    def on_test_epoch_end(self) -> None:
        """Logs the scores of the vote."""
        cases, malignant, probabilities, _ = self._collected()
        if not cases:
            return
        self._log_scores("test_", malignant, probabilities)
        if len(set(cases)) < len(cases):
            self._log_scores("test_patient_", *majority_of_slices(cases, malignant, probabilities))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """SGD with momentum over what is not frozen."""
        settings = self.optimizer_settings
        trained = [p for p in self.network.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": settings.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum)

    def _inputs(self, batch: dict[str, Any], training: bool) -> torch.Tensor:
        given: torch.Tensor = batch[self.input_key]
        if isinstance(given, MetaTensor):  # what MONAI's padding makes; its bookkeeping is slow here
            given = given.as_tensor()
        return given if self.inputs is None else self.inputs(given, training)

    def _collect(self, batch: dict[str, Any], logits: torch.Tensor) -> None:
        probabilities = torch.softmax(logits.detach(), dim=1)[:, 1]
        self._seen.append((list(batch["case"]), batch["label"].cpu(), probabilities.cpu(), batch["fold"].cpu()))

    def _collected(self) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
        """Cases, truth (bool), probabilities and folds of all items since the last call, of all processes."""
        seen, self._seen = from_all_processes(self._seen), []
        if not seen:
            return [], np.zeros(0, bool), np.zeros(0), np.zeros(0, int)
        cases = [case for names, *_ in seen for case in names]
        label, probabilities, fold = (torch.cat(column).numpy() for column in list(zip(*seen, strict=True))[1:])
        return cases, label == 1, probabilities, fold

    def _log_scores(self, prefix: str, malignant: np.ndarray, probabilities: np.ndarray) -> None:
        scores = score_verdicts(malignant.tolist(), _verdicts(probabilities, 0.5), probabilities.tolist())
        for name in _LOGGED:
            if (value := getattr(scores, name)) is not None:
                self.log(prefix + name, value, sync_dist=True)


def fold_scores(malignant: np.ndarray, probabilities: np.ndarray) -> tuple[float, VerdictScores]:
    """The decision threshold with the largest Youden index on some items, and the scores with it.

    Args:
        malignant: (N) bool, both classes.
        probabilities: (N) of malignancy, 0..1.

    Raises:
        ValueError: If there is only one class.
    """
    threshold = youden_threshold(malignant.tolist(), probabilities.tolist())
    return threshold, score_verdicts(malignant.tolist(), _verdicts(probabilities, threshold), probabilities.tolist())


def majority_of_slices(
    cases: list[str], malignant: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """From slices to patients: the share of slices that say malignant; a tie is malignant.

    Args:
        cases: Patient of each slice.
        malignant: (N) bool, the truth per slice.
        probabilities: (N) of malignancy, per slice.

    Returns:
        Truth and share per patient, sorted by name.
    """
    names, place = np.unique(np.asarray(cases), return_inverse=True)
    counts = np.bincount(place)
    share = np.bincount(place, weights=probabilities >= 0.5) / counts
    truth = np.zeros(len(names), bool)
    truth[place] = malignant
    return truth, share


def _verdicts(probabilities: np.ndarray, threshold: float) -> list[str | None]:
    return [CLASS_NAMES[int(probability >= threshold)] for probability in probabilities]
