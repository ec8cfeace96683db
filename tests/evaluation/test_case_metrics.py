"""One case's row."""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from nephro_monai.evaluation import evaluate_case, find_predictions, read_cohort
from nephro_monai.evaluation.case_metrics import COLUMNS
from nephro_monai.evaluation.cohort import PredictedCase, PredictedSlice
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


def test_surfaces_volumes_and_lesions(data, predictions):
    perfect, shifted, missed = (_row(data, predictions, i) for i in (0, 1, 3))
    assert (perfect.kits23_tumor_surface_dice, perfect.tumor_hausdorff95_mm, perfect.kidney_volume_error_ml) == (
        1,
        0,
        0,
    )
    assert shifted.kidney_hausdorff95_mm == pytest.approx(2.0)  # moved by a voxel of 2 mm
    assert shifted.kits23_masses_dice == shifted.tumor_dice == pytest.approx(3 / 4)
    assert shifted.tumor_volume_error_ml == pytest.approx(0)
    assert (missed.tumor_hausdorff95_mm, missed.kits23_tumor_surface_dice) == (None, 0.0)
    assert missed.tumor_volume_error_ml == pytest.approx(-64 * 0.02)
    counts = [(r.lesions_true, r.lesions_found, r.lesions_predicted, r.lesions_false) for r in (perfect, missed)]
    assert counts == [(1, 1, 1, 0), (1, 0, 0, 0)]


def test_without_a_prediction_every_dice_is_zero(data, predictions):
    row = evaluate_case(read_cohort(data).cases[2], None)
    names = [name for name in COLUMNS if name.endswith("_dice")]
    assert len(names) == 8
    assert all(getattr(row, name) == 0 for name in names)
    assert row.kidney_volume_error_ml is row.kidney_hausdorff95_mm is None


def test_unknown_labels_are_said(data, predict):
    labels = read_label_map(data / "case_00000" / "segmentation.nii.gz").labels.copy()
    labels[0, 0, :3] = 7
    row = _row(data, predict("case_00000", labels, "malignant", 0.9), 0)
    assert (row.status, row.kidney_dice, row.tumor_dice) == ("done", 1.0, 1.0)
    assert "3 voxels of label 7, taken for background (allowed are 0, 1 and 2)" in row.reason
    row = _row(data, predict("case_00000", labels.astype(np.int16), "malignant", 0.9), 0)
    assert "number type is int16; the challenge asks for uint8" in row.reason


def test_only_slices_that_show_the_tumor_count(data, predictions):
    slices = tuple(PredictedSlice(i, 0.8, "malignant") for i in (7, 8, 11, 12))  # the tumor: 8..11 along the first axis
    predicted = replace(find_predictions(predictions)["case_00000"], slices=slices)
    row = evaluate_case(read_cohort(data).cases[0], predicted)
    assert ([s.index for s in row.classified], row.slices_off_tumor) == ([8, 11], 2)


def test_an_affine_without_volume_is_a_reason(data, predict):
    folder = predict("case_00000", np.zeros((20, 40, 60), np.uint8))
    image = nib.load(folder / "case_00000" / "segmentation.nii.gz")
    image.set_sform(np.zeros((4, 4)), code=1)
    nib.save(image, folder / "case_00000" / "segmentation.nii.gz")
    assert "affine without a volume" in _row(data, folder, 0).reason
