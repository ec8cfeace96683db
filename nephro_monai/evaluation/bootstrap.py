"""How sure a mean is: 95 % intervals by resampling cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

__all__ = [
    "LEVEL",
    "RESAMPLES",
    "SEED",
    "Mean",
    "Share",
    "interval",
    "mean_with_interval",
    "ratio_interval",
    "resampling_weights",
    "share_with_interval",
]

LEVEL = 0.95
RESAMPLES = 2000
SEED = 0

Interval = list[float]


class Mean(TypedDict):
    """A mean, over how many cases, and its interval; None where there is nothing to average."""

    mean: float | None
    n: int
    interval: Interval | None


class Share(TypedDict):
    """A share of cases, of how many, and its interval."""

    share: float | None
    n: int
    interval: Interval | None


def resampling_weights(cases: int, resamples: int = RESAMPLES, seed: int = SEED) -> np.ndarray:
    """How often each case is drawn in each bootstrap sample: (resamples, cases), rows adding up to `cases`."""
    return np.random.default_rng(seed).multinomial(cases, np.full(cases, 1 / cases), size=resamples)


def interval(samples: np.ndarray) -> Interval | None:
    """The percentile interval of bootstrap samples.

    Args:
        samples: (resamples,), NaN where a sample has no value (no benign case drawn, say).

    Returns:
        Lower and upper bound of the samples that have a value; None if fewer than half have one.
    """
    known = samples[np.isfinite(samples)]
    if 2 * len(known) < len(samples) or not len(known):
        return None
    tail = 100 * (1 - LEVEL) / 2
    return [float(bound) for bound in np.percentile(known, [tail, 100 - tail])]


def mean_with_interval(values: Sequence[float | None]) -> Mean:
    """Mean over the cases that have a value, never NaN.

    Args:
        values: One per case; None where the figure is not defined.
    """
    known = np.array([value for value in values if value is not None], float)
    if not len(known):
        return {"mean": None, "n": 0, "interval": None}
    bounds = interval(resampling_weights(len(known)) @ known / len(known)) if len(known) > 1 else None
    return {"mean": float(known.mean()), "n": len(known), "interval": bounds}


def share_with_interval(flags: Sequence[bool]) -> Share:
    """Share of cases of which something is true."""
    entry = mean_with_interval([float(flag) for flag in flags])
    return {"share": entry["mean"], "n": entry["n"], "interval": entry["interval"]}


def ratio_interval(parts: Sequence[float], wholes: Sequence[float]) -> Interval | None:
    """Interval of a ratio of sums over cases, such as lesions found and lesions there.

    Args:
        parts: Numerator of each case.
        wholes: Denominator of each case.
    """
    if len(parts) < 2:
        return None
    weights = resampling_weights(len(parts))
    below = weights @ np.asarray(wholes, float)
    with np.errstate(invalid="ignore", divide="ignore"):
        return interval(np.where(below > 0, weights @ np.asarray(parts, float) / below, np.nan))
