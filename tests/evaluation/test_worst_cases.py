"""Pictures of the worst outlined tumors."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from nephro_monai.evaluation import evaluate_cohort, write_worst_cases
from nephro_monai.evaluation.case_metrics import CaseMetrics
from nephro_monai.evaluation.worst_cases import WORST_CASES, _panel, worst_tumors


def row(name: str, dice: float | None, ml: float = 1.0, **values) -> CaseMetrics:
    return replace(CaseMetrics(name, "done"), tumor_dice=dice, tumor_ml=ml, predicted_tumor_ml=0.0, **values)


def test_the_worst_come_first_and_perfect_and_unusable_ones_not_at_all():
    rows = [
        row("good", 0.9), row("perfect", 1.0), row("small", 0.0, 2.0), row("large", 0.0, 50.0),
        replace(row("broken", 0.0), status="failed"), row("unscored", None),
    ]  # fmt: skip
    assert [one.case for one in worst_tumors(rows)] == ["large", "small", "good"]


@pytest.mark.parametrize("axcodes", ["RAS", "LPI", "IPL"])
def test_the_largest_error_is_in_the_middle_whatever_the_orientation(axcodes, tmp_path: Path):
    """A missed tumor on the patient's left in front, and a smaller false one elsewhere."""
    truth, found, hu = np.zeros((3, 300, 300, 12), np.uint8)
    truth[60:80, 200:220, 4:9] = 2
    found[250:255, 40:45, 7] = 2
    hu = hu.astype(np.int16)
    hu[60:80, 200:220] = 150
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    for name, volume in (("truth", truth), ("found", found), ("imaging", hu)):
        image = nib.Nifti1Image(volume, affine)
        turn = nib.orientations.ornt_transform(nib.io_orientation(affine), nib.orientations.axcodes2ornt(axcodes))
        nib.save(image.as_reoriented(turn), tmp_path / f"{name}.nii.gz")
    paths = (tmp_path / f"{name}.nii.gz" for name in ("truth", "found", "imaging"))
    panel = _panel(row("case", 0.0, 6.0), *paths)
    assert panel is not None and panel.title == "case: 6.0 ml, tumor Dice 0.00"
    assert panel.hu.shape == (170, 170) and panel.truth.sum() == 2 * 400 and not panel.prediction.any()
    middle = np.argwhere(panel.truth).mean(axis=0)
    # x grows to the patient's right in R-A-S: index 60..79 of 300 is on the left, so right in the picture.
    expected_row, expected_column = 299 - 209.5, 299 - 69.5
    assert middle == pytest.approx([expected_row - 5, expected_column - 130], abs=1)
    assert (panel.hu[panel.truth == 2] == 150).all()


def test_a_picture_of_a_run(data, predictions, tmp_path):
    rows, _ = evaluate_cohort(predictions, data)
    (tmp_path / WORST_CASES).write_text("old")
    assert write_worst_cases(rows, predictions, data, tmp_path) == []
    assert not (tmp_path / WORST_CASES).exists(), "no scans beside the labels: an older picture would be another run's"
    for truth in data.glob("*/segmentation.nii.gz"):
        shutil.copy(truth, truth.with_name("imaging.nii.gz"))
    assert write_worst_cases(rows, predictions, data, tmp_path, "synthetic") == [WORST_CASES]
    assert min(Image.open(tmp_path / WORST_CASES).size) > 200
