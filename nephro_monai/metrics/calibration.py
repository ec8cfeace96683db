"""Whether probabilities are what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Reliability", "expected_calibration_error", "reliability"]


@dataclass(frozen=True)
class Reliability:
    """What became of predictions, by bins of equal width over 0..1.

    Attributes:
        counts: Predictions per bin.
        probabilities: Mean predicted probability per bin; NaN in empty bins.
        frequencies: Share of positives per bin; NaN in empty bins.
    """

    counts: np.ndarray
    probabilities: np.ndarray
    frequencies: np.ndarray

    @property
    def error(self) -> float | None:
        """Expected calibration error; None without predictions."""
        value = float(expected_calibration_error(self.counts, self.probabilities, self.frequencies))
        return None if np.isnan(value) else value


def reliability(probabilities: Sequence[float], positive: Sequence[bool], bins: int = 10) -> Reliability:
    """Sorts predictions into bins.

    Args:
        probabilities: Of the positive class, 0..1.
        positive: The truth.
        bins: How many; a probability of 1 belongs to the last.

    Raises:
        ValueError: If the lengths differ or a probability is outside 0..1.
    """
    values, truth = np.asarray(probabilities, float), np.asarray(positive, float)
    if values.shape != truth.shape or values.ndim != 1:
        raise ValueError(f"One truth per probability is needed, got {truth.shape} for {values.shape}.")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"Probabilities are in 0..1, got {values.min()} to {values.max()}.")
    place = np.minimum((values * bins).astype(int), bins - 1)
    counts = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(place, weights, minlength=bins) / counts for weights in (values, truth)]
    return Reliability(counts, *means)


def expected_calibration_error(counts: np.ndarray, probabilities: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Mean gap between predicted probability and frequency, weighted by predictions (Naeini et al. 2015).

    Args:
        counts: (..., bins) predictions per bin.
        probabilities: (..., bins) mean probability; NaN where there is no prediction.
        frequencies: (..., bins) share of positives; NaN where there is no prediction.

    Returns:
        (...) 0..1, NaN without predictions.
    """
    gaps = np.where(counts > 0, np.abs(probabilities - frequencies), 0.0)
    with np.errstate(invalid="ignore"):
        return (counts * gaps).sum(axis=-1) / counts.sum(axis=-1)
