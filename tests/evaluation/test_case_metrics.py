"""One case's row."""

from __future__ import annotations

import numpy as np
import pytest

from nephro_monai.evaluation import evaluate_case, find_predictions, read_cohort
from nephro_monai.evaluation.cohort import PredictedCase
from nephro_monai.evaluation.label_map import read_label_map


def _row(data, predictions, index):
    case = read_cohort(data).cases[index]
    return evaluate_case(case, find_predictions(predictions).get(case.name))


def test_a_perfect_case(data, predictions):
    row = _row(data, predictions, 0)
    assert (row.kidney_dice, row.tumor_dice, row.composite) == (1.0, 1.0, 1.0)
    assert (row.kidneys_found, row.kidneys, row.tumor_found) == (2, 2, True)
    assert row.tumor_ml == row.predicted_tumor_ml == pytest.approx(64 * 0.02)
    assert (row.malignant, row.verdict, row.probability, row.seconds) == (True, "malignant", 0.9, 12.5)


def test_a_shifted_case_has_hand_counted_dice(data, predictions):
    row = _row(data, predictions, 1)
    assert row.kidney_dice == pytest.approx(9 / 10)  # kidneys are 10 wide, moved by 1
    assert row.tumor_dice == pytest.approx(3 / 4)
    assert row.verdict == "undetermined"


def test_a_false_tumor_and_a_missed_one(data, predictions):
    false, missed = _row(data, predictions, 2), _row(data, predictions, 3)
    assert (false.has_tumor, false.tumor_found, false.tumor_dice) == (False, None, 0.0)
    assert false.predicted_tumor_ml == pytest.approx(64 * 0.02)
    assert (missed.tumor_found, missed.tumor_dice, missed.verdict) == (False, 0.0, "missed")
    assert missed.kidney_dice == 1.0  # the tumor's voxels are called kidney


def test_a_verdict_on_the_wrong_spot_is_a_missed_tumor(data, predict):
    wrong = read_label_map(data / "case_00002" / "segmentation.nii.gz").labels.copy()
    wrong[6:10, 16:20, 10:14] = 2  # in the other kidney
    folder = predict("case_00000", wrong, "malignant", 0.99)
    assert _row(data, folder, 0).verdict == "missed"


def test_without_a_prediction_everything_is_wrong(data, predictions):
    case = read_cohort(data).cases[2]  # no tumor: an empty prediction must not score 1
    row = evaluate_case(case, None)
    assert (row.status, row.kidney_dice, row.tumor_dice, row.kidneys_found) == ("missing", 0.0, 0.0, 0)
    row = evaluate_case(case, PredictedCase(None, reason="The scan is empty."))
    assert (row.status, row.reason) == ("failed", "The scan is empty.")


def test_another_grid_fails_the_case(data, predict):
    folder = predict("case_00000", np.zeros((20, 40, 59), np.uint8), "benign")
    row = _row(data, folder, 0)
    assert (row.status, row.kidney_dice, row.verdict) == ("failed", 0.0, None)
    assert "(20, 40, 59)" in row.reason


def test_a_broken_truth_is_not_scored(data, predictions):
    (data / "case_00000" / "segmentation.nii.gz").write_bytes(b"")
    row = _row(data, predictions, 0)
    assert (row.status, row.kidney_dice) == ("unscored", None)
