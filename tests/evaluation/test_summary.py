"""Means and shares, counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from nephro_monai.evaluation import CaseMetrics, Cohort, summarize

COHORT = Cohort(Path("data"), ())


def _row(case: str, **values: object) -> CaseMetrics:
    base = {
        "status": "done", "kidney_dice": 0.9, "tumor_dice": 0.5, "composite": 0.7, "kidneys": 2, "kidneys_found": 2,
        "tumor_ml": 5.0, "predicted_tumor_ml": 4.0, "diameter_mm": 30.0, "tumor_found": True, "malignant": True,
        "verdict": "malignant", "probability": 0.9,
    }  # fmt: skip
    return CaseMetrics(case, **{**base, **values})


def test_means_with_their_n():
    free = {"tumor_ml": 0.0, "tumor_found": None, "malignant": None, "diameter_mm": None}
    rows = [
        _row("a"),
        _row("b", kidney_dice=0.7, kidneys_found=1, tumor_found=False, verdict="missed", diameter_mm=70.0),
        _row("c", tumor_dice=1.0, predicted_tumor_ml=0.0, verdict="undetermined", **free),
        _row("d", tumor_dice=0.0, predicted_tumor_ml=3.0, verdict="malignant", **free),
        _row("e", malignant=False, verdict="benign", probability=0.2, kidneys=1, kidneys_found=1, seconds=8.0),
        CaseMetrics("f", "unscored"),
    ]
    summary = summarize(rows, COHORT)
    assert summary["kidney_dice"] == {"mean": pytest.approx((0.9 * 4 + 0.7) / 5), "n": 5}
    assert summary["tumor_dice"] == {"mean": pytest.approx(0.5), "n": 5}
    assert summary["tumor_dice_with_tumor"] == {"mean": pytest.approx(0.5), "n": 3}
    assert summary["both_kidneys_found"] == {"share": 4 / 5, "n": 5}
    assert summary["tumor_found"] == {"share": 2 / 3, "n": 3}
    assert summary["seconds"] == {"mean": 8.0, "n": 1}
    assert summary["no_tumor"] == {"n": 2, "with_false_tumor": 1, "mean_false_tumor_ml": 1.5, "with_false_verdict": 1}
    malignancy = summary["malignancy"]
    assert (malignancy["sensitivity"], malignancy["specificity"]) == (0.5, 1.0)
    assert (malignancy["balanced_accuracy"], malignancy["n"], malignancy["n_missed"]) == (0.75, 3, 1)
    assert [(g["group"], g["n"], g["tumor_found"]) for g in summary["by_diameter"]] == [
        ("20 to 40 mm", 2, 1.0), ("70 mm and more", 1, 0.0)
    ]  # fmt: skip
    assert summary["cases"] == {"done": 5, "missing": 0, "failed": 0, "unscored": 1}


def test_a_failed_case_counts_as_wrong():
    nothing = {"kidney_dice": 0.0, "tumor_dice": 0.0, "composite": 0.0, "kidneys_found": 0, "tumor_found": False}
    unknown = {"predicted_tumor_ml": None, "verdict": None, "probability": None}
    failed = _row("b", status="failed", malignant=False, **nothing, **unknown)
    summary = summarize([_row("a"), failed], COHORT)
    assert summary["kidney_dice"]["mean"] == pytest.approx(0.45)
    assert summary["malignancy"]["balanced_accuracy"] == 0.5


def test_label_maps_alone_have_no_malignancy():
    summary = summarize([_row("a", verdict=None, probability=None)], COHORT)
    assert summary["malignancy"] is None


def test_nothing_scored_is_none_not_zero():
    summary = summarize([CaseMetrics("f", "unscored")], COHORT)
    assert summary["kidney_dice"] == {"mean": None, "n": 0}
    assert summary["both_kidneys_found"] == {"share": None, "n": 0}
