"""Means over cases, each with how many cases it is a mean of and a 95 % interval over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nephro_monai.constants import DISCLAIMER
from nephro_monai.evaluation.bootstrap import LEVEL, RESAMPLES, SEED, mean_with_interval, share_with_interval
from nephro_monai.evaluation.case_metrics import CaseMetrics
from nephro_monai.evaluation.cohort import Cohort
from nephro_monai.evaluation.definitions import DEFINITIONS
from nephro_monai.evaluation.lesions import DIAMETER_GROUPS_MM, group_name, score_lesions
from nephro_monai.evaluation.look_reader import score_look_reader
from nephro_monai.evaluation.malignancy import patient_calls, score_calls, slice_calls
from nephro_monai.evaluation.regions import KITS23_REGIONS

__all__ = ["DEFINITIONS", "DIAMETER_GROUPS_MM", "summarize"]

STATUSES = ("done", "missing", "failed", "unscored")


def summarize(rows: Sequence[CaseMetrics], cohort: Cohort) -> dict[str, Any]:
    """The summary of a table, ready for JSON.

    Args:
        rows: One per case.
        cohort: Where the truth comes from.

    Returns:
        Means ("mean", "n", "interval") and shares ("share", "n", "interval") by name; None where n is 0, and no
        interval where n is 1.
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
        "cases": {status: sum(r.status == status for r in rows) for status in STATUSES},
        "kidney_dice": _mean(scored, lambda r: r.kidney_dice),
        "tumor_dice": _mean(scored, lambda r: r.tumor_dice),
        "tumor_dice_with_tumor": _mean(with_tumor, lambda r: r.tumor_dice),
        "composite": _mean(scored, lambda r: r.composite),
        "kits23": {
            name: {
                score: _mean(scored, lambda r, key=f"kits23_{name}_{score}": getattr(r, key))  # type: ignore[misc]
                for score in ("dice", "surface_dice")
            }
            for name in KITS23_REGIONS
        },
        "hausdorff95_mm": {
            "kidney": _mean(scored, lambda r: r.kidney_hausdorff95_mm),
            "tumor": _mean(scored, lambda r: r.tumor_hausdorff95_mm),
        },
        "volume_error_ml": {
            "kidney": _volume_error([row.kidney_volume_error_ml for row in scored]),
            "tumor": _volume_error([row.tumor_volume_error_ml for row in scored]),
        },
        "both_kidneys_found": share_with_interval([r.kidneys_found == r.kidneys for r in scored if r.kidneys]),
        "tumor_found": share_with_interval([bool(r.tumor_found) for r in with_tumor]),
        "lesions": score_lesions([row.lesions for row in scored]),
        "malignancy": _malignancy(with_tumor, cohort),
        "slices": _slices(with_tumor),
        "no_tumor": _no_tumor([row for row in scored if not row.has_tumor]),
        "by_diameter": _by_diameter(with_tumor),
        "seconds": _mean([row for row in scored if row.seconds is not None], lambda r: r.seconds),
        "uncertainty": {
            "method": "bootstrap over cases, percentile interval", "level": LEVEL, "resamples": RESAMPLES, "seed": SEED,
        },
        "notes": [*cohort.notes, *_notes(scored, with_tumor)],
        "definitions": DEFINITIONS,
    }  # fmt: skip


def _malignancy(rows: Sequence[CaseMetrics], cohort: Cohort) -> dict[str, Any] | None:
    """None if no case has a verdict: label maps alone were given."""
    known = [row for row in rows if row.malignant is not None]
    if not any(row.verdict for row in rows):
        return None
    missed = sum(row.verdict == "missed" for row in known)
    undetermined = sum(row.verdict == "undetermined" for row in known)
    return {
        **score_calls(patient_calls(known)),
        "n_missed": missed,
        "n_undetermined": undetermined,
        "look_reader": score_look_reader(known, cohort),
    }


def _slices(rows: Sequence[CaseMetrics]) -> dict[str, Any] | None:
    """None if no slice was classified."""
    if not any(row.classified or row.slices_off_tumor for row in rows):
        return None
    return {**score_calls(slice_calls(rows)), "n_off_tumor": sum(row.slices_off_tumor for row in rows)}


def _no_tumor(rows: Sequence[CaseMetrics]) -> dict[str, Any]:
    volumes = [row.predicted_tumor_ml for row in rows if row.predicted_tumor_ml is not None]
    return {
        "n": len(volumes),
        "with_false_tumor": sum(volume > 0 for volume in volumes),
        "mean_false_tumor_ml": mean_with_interval(volumes)["mean"],
        "with_false_verdict": sum(row.verdict in ("malignant", "benign") for row in rows),
    }


def _by_diameter(rows: Sequence[CaseMetrics]) -> list[dict[str, Any]]:
    groups = []
    for low, high in DIAMETER_GROUPS_MM:
        inside = [row for row in rows if row.diameter_mm is not None and low <= row.diameter_mm < high]
        if inside:
            dice = _mean(inside, lambda r: r.tumor_dice)
            groups.append({
                "group": group_name(low, high), "n": len(inside), "tumor_dice": dice["mean"],
                "tumor_dice_interval": dice["interval"],
                "tumor_found": share_with_interval([bool(r.tumor_found) for r in inside])["share"],
            })  # fmt: skip
    return groups


def _volume_error(errors: Sequence[float | None]) -> dict[str, Any]:
    """Signed (bias) and absolute error."""
    absolute = [None if error is None else abs(error) for error in errors]
    return {"signed": mean_with_interval(errors), "absolute": mean_with_interval(absolute)}


def _notes(scored: Sequence[CaseMetrics], with_tumor: Sequence[CaseMetrics]) -> list[str]:
    """What the figures cannot say."""
    notes = []
    if len(scored) == 1:
        notes.append("A single case: there are no intervals, and its figures say little about others.")
    known = {row.malignant for row in with_tumor if row.malignant is not None}
    if any(row.verdict for row in with_tumor) and len(known) < 2:
        absent = "benign" if True in known else "malignant" if known else "known to be benign or malignant"
        notes.append(f"No case with a tumor is {absent}: balanced accuracy and AUC are not defined.")
    undefined = sum(row.tumor_hausdorff95_mm is None for row in with_tumor)
    if undefined:
        notes.append(
            f"The tumor's 95 % Hausdorff distance is not defined in {undefined} of {len(with_tumor)} cases with a "
            "tumor (nothing predicted); they are not in its mean."
        )
    return notes


def _mean(rows: Sequence[CaseMetrics], value: Callable[[CaseMetrics], float | None]) -> dict[str, Any]:
    return dict(mean_with_interval([value(row) for row in rows]))
