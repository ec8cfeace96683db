"""How far a system is from a reader who knows the look that was drawn for every synthetic tumor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nephro_monai.errors import ParametersError
from nephro_monai.evaluation.bootstrap import interval, resampling_weights
from nephro_monai.evaluation.case_metrics import CaseMetrics
from nephro_monai.evaluation.cohort import Cohort
from nephro_monai.evaluation.malignancy import CaseCalls, auc_samples, patient_calls, score_calls
from nephro_monai.phantom.ideal_observer import ideal_observer_of, knows_looks

__all__ = ["score_look_reader"]


def score_look_reader(rows: Sequence[CaseMetrics], cohort: Cohort) -> dict[str, Any] | None:
    """Malignancy AUC of the generator's ideal observer, over the patients that the system has a probability for.

    Args:
        rows: Cases with a tumor whose malignancy is known.
        cohort: Where the truth comes from, with its records.

    Returns:
        `auc`, `n`, `interval`, `share_reached` = (AUC - 0.5) / (AUC of the reader - 0.5) with `share_interval` (both
        AUCs of the same bootstrap samples), and `roc`, ready for JSON. None unless the records of all these cases hold
        looks, drawn from the same ranges, and both classes are among the patients.
    """
    phantoms = {case.name: case.record.get("phantom") for case in cohort.cases}
    if not rows or not all(knows_looks(phantoms.get(row.case)) for row in rows):
        return None
    judged = [row for row in rows if row.probability is not None]
    blocks = [phantoms[row.case] for row in judged]
    overrides = [block.get("parameters") or {} for block in blocks if block is not None]
    if len({row.malignant for row in judged}) < 2 or any(other != overrides[0] for other in overrides):
        return None
    try:
        observer = ideal_observer_of(overrides[0])
    except ParametersError:  # a file made by a version with other ranges
        return None
    posteriors = observer.probabilities([block for block in blocks if block is not None])
    told = [
        CaseCalls(bool(row.malignant), ("malignant" if p > 0.5 else "benign",), (float(p),))
        for row, p in zip(judged, posteriors, strict=True)
    ]
    scores, answered = score_calls(told), patient_calls(judged)
    share, bounds = _share_reached(answered, told, score_calls(answered)["auc"], scores["auc"])
    return {
        "auc": scores["auc"], "n": len(told), "interval": scores["intervals"].get("auc"), "share_reached": share,
        "share_interval": bounds, "roc": scores["roc"],
    }  # fmt: skip


def _share_reached(
    answered: Sequence[CaseCalls], told: Sequence[CaseCalls], auc: float, most: float
) -> tuple[float | None, list[float] | None]:
    """None where the reader does no better than chance."""
    weights = resampling_weights(len(told))
    reached, possible = auc_samples(answered, weights) - 0.5, auc_samples(told, weights) - 0.5
    with np.errstate(invalid="ignore", divide="ignore"):
        samples = np.where(possible > 0, reached / possible, np.nan)
    return (float((auc - 0.5) / (most - 0.5)) if most > 0.5 else None), interval(samples)
