"""Means over cases, each with how many cases it is a mean of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from nephro_monai.constants import DISCLAIMER
from nephro_monai.evaluation.case_metrics import TUMOR_FOUND_SHARE, CaseMetrics
from nephro_monai.evaluation.cohort import Cohort
from nephro_monai.evaluation.kidneys import KIDNEY_FOUND_DICE
from nephro_monai.metrics.classification import score_verdicts

__all__ = ["DEFINITIONS", "DIAMETER_GROUPS_MM", "summarize"]

DIAMETER_GROUPS_MM: tuple[tuple[float, float], ...] = ((0, 20), (20, 40), (40, 70), (70, float("inf")))
"""Half-open; 40 and 70 mm divide the stages T1a, T1b and T2."""

DEFINITIONS = {
    "kidney_dice": "Dice of label > 0 (kidney with its tumor), mean over cases.",
    "tumor_dice": "Dice of label 2, mean over all cases; 1 where neither truth nor prediction has a tumor, "
    "0 where only one of them has.",
    "tumor_dice_with_tumor": "The same over the cases that have a tumor.",
    "composite": "Mean of kidney and tumor Dice, as KiTS19 ranks.",
    "both_kidneys_found": "Share of cases in which every true kidney (one or two) was found: "
    f"Dice above {KIDNEY_FOUND_DICE} within its box grown by 20 mm. Kidneys that touch count as one.",
    "tumor_found": f"Share of cases with a tumor in which at least {TUMOR_FOUND_SHARE:.0%} of its voxels are "
    "predicted as tumor.",
    "malignancy": "Over the cases with a tumor whose malignancy kits.json knows. Undetermined, missed tumors and "
    "missing verdicts count as wrong. Balanced accuracy is the mean of sensitivity and specificity.",
    "no_tumor": "Over the cases without a tumor: how many got a false tumor, its mean volume, and how many got a "
    "verdict other than undetermined.",
    "without_prediction": "Cases without a usable prediction score 0 and count as wrong everywhere above.",
}


def summarize(rows: Sequence[CaseMetrics], cohort: Cohort) -> dict[str, Any]:
    """The summary of a table, ready for JSON.

    Args:
        rows: One per case.
        cohort: Where the truth comes from.

    Returns:
        Means ("mean", "n") and shares ("share", "n") by name; None where n is 0.
    """
    scored = [row for row in rows if row.status != "unscored"]
    with_tumor = [row for row in scored if row.has_tumor]
    return {
        "disclaimer": DISCLAIMER,
        "data": {
            "folder": cohort.folder.name,
            "description": cohort.description,
            "synthetic": bool(cohort.cases) and cohort.synthetic == len(cohort.cases),
        },
        "cases": {
            status: sum(r.status == status for r in rows) for status in ("done", "missing", "failed", "unscored")
        },
        "kidney_dice": _mean(r.kidney_dice for r in scored),
        "tumor_dice": _mean(r.tumor_dice for r in scored),
        "tumor_dice_with_tumor": _mean(r.tumor_dice for r in with_tumor),
        "composite": _mean(r.composite for r in scored),
        "both_kidneys_found": _share(r.kidneys_found == r.kidneys for r in scored if r.kidneys),
        "tumor_found": _share(bool(r.tumor_found) for r in with_tumor),
        "malignancy": _malignancy(with_tumor),
        "no_tumor": _no_tumor([row for row in scored if not row.has_tumor]),
        "by_diameter": _by_diameter(with_tumor),
        "seconds": _mean(r.seconds for r in scored if r.seconds is not None),
        "definitions": DEFINITIONS,
    }


def _malignancy(rows: Sequence[CaseMetrics]) -> dict[str, Any] | None:
    """None if no case has a verdict: label maps alone were given."""
    known = [row for row in rows if row.malignant is not None]
    if not any(row.verdict for row in rows):
        return None
    scores = score_verdicts(
        [bool(r.malignant) for r in known], [r.verdict for r in known], [r.probability for r in known]
    )
    missed = sum(row.verdict == "missed" for row in known)
    return {**asdict(scores), "n_missed": missed, "n_undetermined": sum(r.verdict == "undetermined" for r in known)}


def _no_tumor(rows: Sequence[CaseMetrics]) -> dict[str, Any]:
    volumes = [row.predicted_tumor_ml for row in rows if row.predicted_tumor_ml is not None]
    return {
        "n": len(volumes),
        "with_false_tumor": sum(volume > 0 for volume in volumes),
        "mean_false_tumor_ml": _mean(volumes)["mean"],
        "with_false_verdict": sum(row.verdict in ("malignant", "benign") for row in rows),
    }


def _by_diameter(rows: Sequence[CaseMetrics]) -> list[dict[str, Any]]:
    groups = []
    for low, high in DIAMETER_GROUPS_MM:
        inside = [row for row in rows if row.diameter_mm is not None and low <= row.diameter_mm < high]
        name = f"{low:g} mm and more" if high == float("inf") else f"{low:g} to {high:g} mm"
        if inside:
            groups.append({
                "group": name, "n": len(inside), "tumor_dice": _mean(r.tumor_dice for r in inside)["mean"],
                "tumor_found": _share(bool(r.tumor_found) for r in inside)["share"],
            })  # fmt: skip
    return groups


def _mean(values: Iterable[float | None]) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    return {"mean": float(np.mean(known)) if known else None, "n": len(known)}


def _share(flags: Iterable[bool]) -> dict[str, Any]:
    known = list(flags)
    return {"share": sum(known) / len(known) if known else None, "n": len(known)}
