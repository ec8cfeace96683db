"""Benign or malignant: scores, curves and their intervals, for patients and for slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.metrics import roc_curve

from nephro_monai.evaluation.bootstrap import interval, resampling_weights
from nephro_monai.evaluation.case_metrics import CaseMetrics
from nephro_monai.metrics.calibration import expected_calibration_error, reliability
from nephro_monai.metrics.classification import confusion_counts, confusion_scores, score_verdicts

__all__ = ["CaseCalls", "auc_samples", "patient_calls", "score_calls", "slice_calls"]

_BINS = 10
_MOST_THRESHOLDS = 400
_GRID = np.linspace(0.0, 1.0, 51)


@dataclass(frozen=True)
class CaseCalls:
    """What was said of one case whose malignancy is known: one verdict, or one vote per slice.

    Attributes:
        malignant: The truth.
        verdicts: "malignant", "benign", or anything else for no call.
        probabilities: Of malignancy; None where there is none.
    """

    malignant: bool
    verdicts: tuple[str | None, ...]
    probabilities: tuple[float | None, ...]


def patient_calls(rows: Sequence[CaseMetrics]) -> list[CaseCalls]:
    """One verdict per case with a tumor whose malignancy is known; a missed tumor is no call."""
    known = [row for row in rows if row.has_tumor and row.malignant is not None]
    return [CaseCalls(bool(row.malignant), (row.verdict,), (row.probability,)) for row in known]


def slice_calls(rows: Sequence[CaseMetrics]) -> list[CaseCalls]:
    """The votes on slices that show the true tumor, of the same cases."""
    known = [row for row in rows if row.has_tumor and row.malignant is not None and row.classified]
    return [
        CaseCalls(
            bool(row.malignant), tuple(s.vote for s in row.classified), tuple(s.probability for s in row.classified)
        )
        for row in known
    ]


def score_calls(cases: Sequence[CaseCalls]) -> dict[str, Any]:
    """Scores with 95 % intervals over cases, ready for JSON; None where a score is undefined.

    Args:
        cases: From `patient_calls` or `slice_calls`.

    Returns:
        The fields of `VerdictScores`, `ece`, `n_calibration`, `cases`, `intervals` (by score), `confusion` (by truth
        and call), `always_malignant` (scores of that answer), `roc` and `reliability` (curves to draw).
    """
    truth = [case.malignant for case in cases for _ in case.verdicts]
    verdicts = [verdict for case in cases for verdict in case.verdicts]
    probabilities = [p for case in cases for p in case.probabilities]
    known = [(p, m) for p, m in zip(probabilities, truth, strict=True) if p is not None]
    bins = reliability([p for p, _ in known], [m for _, m in known], _BINS)
    counts = confusion_counts(truth, verdicts)
    names = ("benign", "malignant", "no call")
    share = counts[1].sum() / counts.sum() if counts.sum() else None
    return {
        **asdict(score_verdicts(truth, verdicts, probabilities)),
        "ece": bins.error,
        "n_calibration": len(known),
        "cases": len(cases),
        "intervals": _intervals(cases),
        "confusion": {
            name: dict(zip(names, map(int, row), strict=True)) for name, row in zip(names, counts, strict=False)
        },
        "always_malignant": None if share is None else {
            "accuracy": float(share), "f1": float(2 * share / (1 + share)), "balanced_accuracy": 0.5,
        },
        "roc": _roc(cases, known),
        "reliability": {
            "counts": bins.counts.tolist(), "probabilities": _plain(bins.probabilities),
            "frequencies": _plain(bins.frequencies),
        },
    }  # fmt: skip


def _intervals(cases: Sequence[CaseCalls]) -> dict[str, list[float] | None]:
    """By score; whole cases are drawn, with all their slices."""
    if len(cases) < 2:
        return {}
    weights = resampling_weights(len(cases))
    counts = np.stack([confusion_counts([c.malignant] * len(c.verdicts), c.verdicts) for c in cases])
    samples = confusion_scores(np.tensordot(weights, counts, axes=1))
    samples["auc"] = auc_samples(cases, weights)
    samples["ece"] = _ece_samples(cases, weights)
    return {name: interval(values) for name, values in samples.items()}


def _known(case: CaseCalls) -> np.ndarray:
    return np.array([p for p in case.probabilities if p is not None], float)


def auc_samples(cases: Sequence[CaseCalls], weights: np.ndarray) -> np.ndarray:
    """AUC of bootstrap samples of cases, (resamples,), NaN where one class is absent.

    Mann-Whitney: how often a malignant probability exceeds a benign one, counted once per pair of cases.

    Args:
        cases: What was said.
        weights: From `resampling_weights`, (resamples, cases).
    """
    malignant = np.array([case.malignant for case in cases])
    values = [_known(case) for case in cases]
    sizes = np.array([len(v) for v in values])
    wins = np.array([
        [(0.5 * (1 + np.sign(a[:, None] - b[None]))).sum() for b, m in zip(values, malignant, strict=True) if not m]
        for a, m in zip(values, malignant, strict=True) if m
    ]).reshape(malignant.sum(), (~malignant).sum())  # fmt: skip
    above = np.einsum("sa,ab,sb->s", weights[:, malignant], wins, weights[:, ~malignant], optimize=True)
    pairs = (weights[:, malignant] @ sizes[malignant]) * (weights[:, ~malignant] @ sizes[~malignant])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(pairs > 0, above / pairs, np.nan)


def _ece_samples(cases: Sequence[CaseCalls], weights: np.ndarray) -> np.ndarray:
    sums = np.zeros((3, len(cases), _BINS))  # predictions, sum of probabilities, positives
    for i, case in enumerate(cases):
        values = _known(case)
        bins = reliability(values.tolist(), [case.malignant] * len(values), _BINS)
        sums[:, i] = bins.counts, np.nan_to_num(bins.probabilities) * bins.counts, bins.counts * case.malignant
    counts, probabilities, positives = (weights @ part for part in sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        return expected_calibration_error(counts, probabilities / counts, positives / counts)


def _roc(cases: Sequence[CaseCalls], known: Sequence[tuple[float, bool]]) -> dict[str, Any] | None:
    """The curve and, on a grid of false-positive rates, the band that holds 95 % of the resampled curves."""
    if len({malignant for _, malignant in known}) < 2:
        return None
    false, true, _ = roc_curve([m for _, m in known], [p for p, _ in known])
    curve = {"false_positive_rate": false.tolist(), "true_positive_rate": true.tolist()}
    thresholds = np.unique([p for p, _ in known])[::-1]
    if len(thresholds) > _MOST_THRESHOLDS:
        thresholds = np.quantile(thresholds, np.linspace(1, 0, _MOST_THRESHOLDS))
    above = np.array([(_known(case)[:, None] >= thresholds).sum(axis=0) for case in cases])  # (cases, thresholds)
    malignant = np.array([case.malignant for case in cases])
    weights = resampling_weights(len(cases))
    sizes = np.array([len(_known(case)) for case in cases])
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = [
            weights[:, chosen] @ above[chosen] / (weights[:, chosen] @ sizes[chosen])[:, None]
            for chosen in (~malignant, malignant)
        ]
    usable = np.isfinite(rates[0]).all(axis=1) & np.isfinite(rates[1]).all(axis=1)
    if usable.sum() * 2 < len(usable):
        return {**curve, "band": None}
    curves = [np.interp(_GRID, [0, *x], [0, *y]) for x, y in zip(rates[0][usable], rates[1][usable], strict=True)]
    low, high = np.percentile(curves, [2.5, 97.5], axis=0)
    return {**curve, "band": {"false_positive_rate": _GRID.tolist(), "low": low.tolist(), "high": high.tolist()}}


def _plain(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
