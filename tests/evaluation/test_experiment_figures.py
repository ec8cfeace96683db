"""Figures of records by hand."""

from __future__ import annotations

import pytest

from nephro_monai.evaluation.experiment_figures import baseline_figures, row_figures

SIZES = {"a": 20.0, "b": 50.0, "c": None, "d": 39.9}


def _slice(verdict, probability=0.7, largest=False, **more):
    return {"verdict": verdict, "probability": probability, "largest": largest, **more}


def _record(case, malignant, *verdicts):
    slices = [_slice(verdict, largest=place == 0) for place, verdict in enumerate(verdicts)]
    return {"case": case, "malignant": malignant, "slices": slices}


RECORDS = [
    _record("a", True, "benign", "malignant", "malignant"),
    _record("b", True, "malignant"),
    _record("c", False, "benign", "malignant"),  # a tie: no call
    _record("d", False, "benign"),
]


def test_slices_largest_slices_and_votes():
    figures = row_figures(RECORDS, SIZES)
    assert figures["slice.accuracy"]["value"] == pytest.approx(5 / 7)
    assert figures["largest.accuracy"]["value"] == pytest.approx(3 / 4)
    assert figures["vote.accuracy"]["value"] == pytest.approx(3 / 4)
    assert figures["vote.sensitivity"]["value"] == 1.0 and figures["vote.specificity"]["value"] == 0.5
    assert figures["largest.f1"]["value"] == pytest.approx(2 / 3)
    assert figures["vote.accuracy"]["over"] == "2 malignant, 2 benign cases"
    assert figures["slice.accuracy"]["over"] == "2 malignant, 2 benign cases, 7 answers"
    low, high = figures["vote.accuracy"]["interval"]
    assert 0 <= low < 0.75 <= high <= 1


def test_small_and_large_masses():
    figures = row_figures(RECORDS, SIZES)
    assert figures["vote.small.accuracy"]["over"] == "1 malignant, 1 benign cases"  # a and d, below 4 cm
    assert figures["vote.large.accuracy"] == {"value": 1.0, "interval": None, "over": "1 malignant, 0 benign cases"}


def test_slices_judged_normal_do_not_vote():
    slices = [_slice("normal"), _slice("normal"), _slice("malignant")]
    figures = row_figures([{"case": "a", "malignant": True, "slices": slices}], SIZES)
    assert figures["vote.sensitivity"]["value"] == 1.0
    silent = row_figures([{"case": "a", "malignant": True, "slices": slices[:2]}], SIZES)
    assert silent["vote.sensitivity"]["value"] == 0.0


def test_seeds_of_a_case_stay_together():
    """Twice the same answers are no more cases: value and interval stay."""
    once, twice = row_figures(RECORDS, SIZES), row_figures([*RECORDS, *RECORDS], SIZES)
    for key in ("value", "interval"):
        assert twice["vote.accuracy"][key] == pytest.approx(once["vote.accuracy"][key])
    assert twice["vote.accuracy"]["over"] == "2 malignant, 2 benign cases, 8 answers"


def test_dice_over_cases():
    records = [
        {"case": "a", "malignant": True, "slices": [], "kidney_dice": 0.8, "tumor_dice": 0.5},
        {"case": "a", "malignant": True, "slices": [], "kidney_dice": 0.6, "tumor_dice": 0.3},
        {"case": "b", "malignant": None, "slices": [], "kidney_dice": 0.9, "tumor_dice": None},
        {"case": "scan", "real_kidney_dice": 0.75, "real_tumor_dice": None},
    ]
    figures = row_figures(records, SIZES)
    assert figures["real_kidney_dice"]["value"] == 0.75 and "real_tumor_dice" not in figures
    assert figures["kidney_dice"]["value"] == pytest.approx(0.8) and figures["kidney_dice"]["over"] == "2 cases"
    assert figures["tumor_dice"] == {"value": pytest.approx(0.4), "interval": None, "over": "1 cases"}
    assert "vote.accuracy" not in figures


def test_slice_classes():
    slices = [_slice("normal", truth="normal"), _slice("benign", truth="malignant"), _slice("benign", truth=None)]
    figures = row_figures([{"case": "a", "malignant": True, "slices": slices}], SIZES)
    assert figures["slice_accuracy"]["value"] == 0.5
    assert figures["slice.sensitivity"]["value"] == 0.0  # of the one slice that shows tumor


def test_detection_sums_boxes():
    records = [
        {"case": "a", "kidney_slices": [3, 1, 1], "all_slices": [3, 5, 1]},
        {"case": "b", "kidney_slices": [1, 1, 3], "all_slices": [1, 1, 3]},
    ]
    figures = row_figures(records, SIZES)
    assert figures["recall"]["value"] == pytest.approx(4 / 8)
    assert figures["precision"]["value"] == pytest.approx(4 / 6)
    assert figures["precision_all"]["value"] == pytest.approx(4 / 10)
    assert figures["recall"]["interval"] == pytest.approx([0.25, 0.75])
    assert figures["recall"]["over"] == "8 boxes of 2 cases, slices with a kidney"
    nothing = row_figures([{"case": "a", "kidney_slices": [0, 0, 4], "all_slices": [0, 0, 4]}], SIZES)
    assert nothing["precision"]["value"] is None and nothing["recall"]["value"] == 0.0


def test_always_malignant():
    figures = baseline_figures(RECORDS, SIZES)
    assert figures["largest.f1"]["value"] == pytest.approx(2 * 0.5 / 1.5)
    assert figures["largest.f1_benign"]["value"] == 0.0 and figures["largest.accuracy"]["value"] == 0.5
    assert figures["vote.f1"]["value"] == figures["largest.f1"]["value"] and figures["vote.auc"]["value"] is None
    assert figures["vote.small.accuracy"]["value"] == 0.5
    assert baseline_figures([{"case": "a", "kidney_dice": 1.0}], SIZES) == {}
