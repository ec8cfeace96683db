"""Means and shares, counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nephro_monai.evaluation import CaseMetrics, Cohort, summarize
from nephro_monai.evaluation.cohort import PredictedSlice

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
    low, high = summary["kidney_dice"]["interval"]
    assert 0.7 <= low < (0.9 * 4 + 0.7) / 5 < high <= 0.9
    expected = {
        "kidney_dice": (0.86, 5), "tumor_dice": (0.5, 5), "tumor_dice_with_tumor": (0.5, 3), "seconds": (8.0, 1),
    }  # fmt: skip
    assert {k: (pytest.approx(summary[k]["mean"]), summary[k]["n"]) for k in expected} == expected
    expected = {"both_kidneys_found": (4 / 5, 5), "tumor_found": (2 / 3, 3)}
    assert {k: (summary[k]["share"], summary[k]["n"]) for k in expected} == expected
    assert summary["seconds"]["interval"] is None
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
    assert summary["kidney_dice"] == {"mean": None, "n": 0, "interval": None}
    assert summary["both_kidneys_found"] == {"share": None, "n": 0, "interval": None}
    json.dumps(summary, allow_nan=False)


def test_what_figures_cannot_say_is_said():
    summary = summarize([_row("a")], COHORT)
    assert any("A single case" in note for note in summary["notes"])
    assert any("No case with a tumor is benign" in note for note in summary["notes"])
    assert summary["malignancy"]["specificity"] is summary["malignancy"]["auc"] is None
    assert any("not defined in 1 of 1 cases" in note for note in summary["notes"])
    json.dumps(summary, allow_nan=False)


def test_volume_errors_by_hand():
    rows = [_row("a"), _row("b", predicted_tumor_ml=9.0), _row("c", predicted_tumor_ml=None)]
    errors = summarize(rows, COHORT)["volume_error_ml"]["tumor"]
    assert (errors["signed"]["mean"], errors["absolute"]["mean"], errors["signed"]["n"]) == (1.5, 2.5, 2)


def test_slices_are_scored_with_their_patients_class():
    votes = (PredictedSlice(3, 0.9, "malignant"), PredictedSlice(4, 0.4, "benign"))
    rows = [_row("a", classified=votes), _row("b", malignant=False, classified=votes[1:], slices_off_tumor=2)]
    slices = summarize(rows, COHORT)["slices"]
    assert (slices["n"], slices["sensitivity"], slices["specificity"], slices["n_off_tumor"]) == (3, 0.5, 1.0, 2)
    assert (rows[0].slices, rows[0].slices_right, rows[1].slices_right) == (2, 1, 1)
