"""The decision threshold that suits a ROC curve best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import roc_curve

__all__ = ["youden_threshold"]


def youden_threshold(malignant: Sequence[bool], probabilities: Sequence[float]) -> float:
    """The probability from which on to say malignant, with the largest sensitivity + specificity - 1 (Youden 1950).

    It lies midway between the two neighboring probabilities that it separates; of several equally good ones it is the
    one nearest to 0.5.

    Args:
        malignant: The truth.
        probabilities: Of malignancy, 0..1.

    Returns:
        The threshold; 0.5 where no threshold is better than chance.

    Raises:
        ValueError: If the lengths differ or there is only one class: then there is no ROC curve.
    """
    truth = np.asarray(malignant, dtype=bool)
    scores = np.asarray(probabilities, dtype=float)
    if truth.shape != scores.shape or truth.all() or not truth.any():
        raise ValueError(
            f"A threshold needs one probability per item and both classes, got {scores.size} probabilities for "
            f"{int((~truth).sum())} benign and {int(truth.sum())} malignant items."
        )
    false_positives, sensitivity, thresholds = roc_curve(truth, scores, drop_intermediate=False)
    index = (sensitivity - false_positives)[1:]  # without the point where everything is benign
    if index.max() <= 1e-12:
        return 0.5
    best = np.flatnonzero(index >= index.max() - 1e-12) + 1
    lower = np.append(thresholds[2:], 0.0)[best - 1]
    middles = (np.minimum(thresholds[best], 1.0) + lower) / 2
    return float(middles[np.argmin(np.abs(middles - 0.5))])
