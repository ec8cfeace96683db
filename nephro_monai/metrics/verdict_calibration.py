"""Temperature and decision limits of a patient's verdict, fitted on patients that no network was trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar

from nephro_monai.metrics.decision_threshold import youden_threshold
from nephro_monai.structures import Calibration

__all__ = ["benign_limit", "fewest_malignant", "fit_calibration", "fit_temperature", "pooled_log_odds"]

_CLIP = 1e-4
_TEMPERATURES = (0.05, 20.0)


def pooled_log_odds(probabilities: Sequence[float]) -> float | None:
    """Mean log-odds of the probabilities of a tumor's slices (or a patient's models); None without any.

    The mean in log-odds is what a temperature can scale; it is the geometric mean of the odds. Probabilities are
    clipped to 1e-4 from 0 and 1, so that one slice cannot outweigh all others. The order makes no difference.

    Raises:
        ValueError: If a probability is outside 0..1.
    """
    values = np.sort(np.asarray(probabilities, dtype=float))
    if not values.size:
        return None
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"Probabilities are in 0..1, got {values.min()} to {values.max()}.")
    clipped = np.clip(values, _CLIP, 1 - _CLIP)
    return float(np.mean(np.log(clipped) - np.log1p(-clipped)))


def fit_temperature(log_odds: Sequence[float], malignant: Sequence[bool]) -> float:
    """The temperature with the least cross-entropy (Guo 2017, section 4.2), within 0.05..20.

    The targets are Platt's (1999, section 2.2): (n + 1) / (n + 2) for n malignant patients and 1 / (n + 2) for n benign
    ones, instead of 1 and 0. Without them a few patients that happen to be told apart would ask for a temperature of 0,
    which is certainty.

    Args:
        log_odds: One per patient, from `pooled_log_odds`.
        malignant: The truth per patient.

    Raises:
        ValueError: If the lengths differ or there are not both classes.
    """
    odds, truth = _checked(log_odds, malignant)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    targets = np.where(truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def cross_entropy(log_temperature: float) -> float:
        scaled = odds / math.exp(log_temperature)
        return float(np.mean(np.logaddexp(0.0, scaled) - targets * scaled))

    low, high = (math.log(t) for t in _TEMPERATURES)
    found = minimize_scalar(cross_entropy, bounds=(low, high), method="bounded", options={"xatol": 1e-8})
    return float(math.exp(found.x))


def benign_limit(probabilities: Sequence[float], malignant: Sequence[bool], sensitivity: float) -> float:
    """The limit below which a patient may be called benign for a stated sensitivity.

    It is the k-th smallest probability of the n malignant patients, k = floor((n + 1)(1 - sensitivity)). A new
    malignant patient of the same kind is then called benign with a probability of at most 1 - sensitivity, whatever the
    distribution is (split conformal prediction, Vovk 2005). With too few malignant patients for such a promise it is
    0: nothing is called benign.

    Args:
        probabilities: Of malignancy, one per patient.
        malignant: The truth per patient.
        sensitivity: Share of malignant patients that must not be called benign, above 0 and below 1.

    Raises:
        ValueError: If the lengths differ, there are not both classes, or the sensitivity is out of range.
    """
    if not 0 < sensitivity < 1:
        raise ValueError(f"The sensitivity must be above 0 and below 1, got {sensitivity}.")
    values, truth = _checked(probabilities, malignant)
    scores = np.sort(values[truth])
    k = math.floor((len(scores) + 1) * (1 - sensitivity) + 1e-9)
    return float(scores[k - 1]) if k >= 1 else 0.0


def fewest_malignant(sensitivity: float) -> int:
    """How many malignant patients `benign_limit` needs before it allows anything to be called benign."""
    return math.ceil(1 / (1 - sensitivity) - 1e-9) - 1


def fit_calibration(
    log_odds: Sequence[float], malignant: Sequence[bool], sensitivity: float | None = None
) -> Calibration:
    """Temperature, decision threshold and, for a stated sensitivity, the limit of the calls "benign".

    From the decision threshold on (the largest sensitivity + specificity - 1, Youden 1950) a patient is malignant.
    Without a stated sensitivity all others are benign. With one, those below `benign_limit` are, and what lies between
    is undetermined.

    Args:
        log_odds: One per patient, from `pooled_log_odds`.
        malignant: The truth per patient.
        sensitivity: Share of malignant patients that must not be called benign; None for no abstention.

    Raises:
        ValueError: If the lengths differ, there are not both classes, or the sensitivity is out of range.
    """
    temperature = fit_temperature(log_odds, malignant)
    scale = Calibration(temperature)
    probabilities = [scale.probability(value) for value in log_odds]
    threshold = youden_threshold(malignant, probabilities)
    limit = threshold
    if sensitivity is not None:
        limit = min(threshold, benign_limit(probabilities, malignant, sensitivity))
    return Calibration(temperature, limit, threshold, sensitivity, len(probabilities))


def _checked(values: Sequence[float], malignant: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
    numbers, truth = np.asarray(values, dtype=float), np.asarray(malignant, dtype=bool)
    if numbers.shape != truth.shape or numbers.ndim != 1 or truth.all() or not truth.any():
        raise ValueError(
            f"A calibration needs one value per patient and both classes, got {numbers.size} values for "
            f"{int((~truth).sum())} benign and {int(truth.sum())} malignant patients."
        )
    return numbers, truth
