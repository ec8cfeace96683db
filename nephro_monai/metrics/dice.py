"""Dice overlap of label maps, as the KiTS19 challenge scores it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from nephro_monai.constants import KIDNEY, LABEL_NAMES, TUMOR

__all__ = ["KitsScores", "dice", "dice_from_counts", "kits19_scores", "label_counts"]


@dataclass(frozen=True)
class KitsScores:
    """Scores of one case, each in 0..1.

    Attributes:
        kidney: Dice of everything that is labeled, kidney with its tumors.
        tumor: Dice of the tumor label.
    """

    kidney: float
    tumor: float

    @property
    def composite(self) -> float:
        """Mean of both, the challenge's figure for ranking."""
        return (self.kidney + self.tumor) / 2


def label_counts(prediction: np.ndarray, truth: np.ndarray, classes: int = len(LABEL_NAMES)) -> np.ndarray:
    """Counts voxels by true and predicted label, slab by slab, so that nothing larger than a slab is made.

    Args:
        prediction: Integers of any shape; labels outside 0..classes-1 count as background.
        truth: Integers of the same shape.
        classes: How many labels there are, background included.

    Returns:
        (classes, classes) int64, rows by true and columns by predicted label.

    Raises:
        ValueError: If the shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"Prediction and truth must have one shape, got {prediction.shape} and {truth.shape}.")
    counts = np.zeros(classes * classes, np.int64)
    # Slabs along the axis with the longest stride lie together in memory, in C and in Fortran order.
    axis = int(np.argmax(truth.strides)) if truth.ndim else 0
    for a, b in zip(np.moveaxis(truth, axis, 0), np.moveaxis(prediction, axis, 0), strict=True):
        joint = _known(a, classes) * classes + _known(b, classes)
        counts += np.bincount(joint.ravel(order="K"), minlength=classes * classes)
    return counts.reshape(classes, classes)


def _known(labels: np.ndarray, classes: int) -> np.ndarray:
    return np.where((labels >= 0) & (labels < classes), labels, 0).astype(np.intp, order="C")


def dice_from_counts(counts: np.ndarray, labels: Collection[int]) -> float:
    """Dice of a set of labels taken as one: 2 |A and B| / (|A| + |B|); 1 if both are empty, 0 if one is.

    Args:
        counts: From `label_counts`.
        labels: Labels that make up the region.
    """
    chosen = list(labels)
    total = int(counts[chosen, :].sum() + counts[:, chosen].sum())
    return 2 * int(counts[np.ix_(chosen, chosen)].sum()) / total if total else 1.0


def dice(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Dice of two masks: 1 if both are empty, 0 if one is.

    Args:
        prediction: bool, of any shape.
        truth: bool, of the same shape.

    Raises:
        ValueError: If the shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"Prediction and truth must have one shape, got {prediction.shape} and {truth.shape}.")
    total = np.count_nonzero(prediction) + np.count_nonzero(truth)
    return 2 * np.count_nonzero(prediction & truth) / total if total else 1.0


def kits19_scores(prediction: np.ndarray, truth: np.ndarray) -> KitsScores:
    """Kidney Dice (label > 0) and tumor Dice (label 2) of a case, as KiTS19 defines them.

    2 |A and B| / (|A| + |B|), as in the organizers' script. That divides by zero where a region is empty in both; here
    that is 1, and 0 where it is empty in one only (the rule of KiTS23). Labels other than 0, 1 and 2 count as
    background, as the challenge says of submissions (its script would take 3 and more for tumor).

    Args:
        prediction: Label map of integers.
        truth: Label map of the same shape.

    Raises:
        ValueError: If the shapes differ.
    """
    counts = label_counts(prediction, truth)
    return KitsScores(kidney=dice_from_counts(counts, (KIDNEY, TUMOR)), tumor=dice_from_counts(counts, (TUMOR,)))
