"""Kidneys against the labels of an organ map."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from nephro_monai.errors import ScanError
from nephro_monai.evaluation import compare_with_organ_map

AFFINE = np.diag([2.0, 2.0, 5.0, 1.0])


@pytest.fixture
def organs(tmp_path):
    labels = np.zeros((10, 10, 10), np.uint8)
    labels[0:4] = 2
    labels[6:10] = 3
    labels[4:6] = 5
    nib.save(nib.Nifti1Image(labels, AFFINE), tmp_path / "organs.nii.gz")
    return tmp_path / "organs.nii.gz"


def test_hand_counted_overlap(tmp_path, organs):
    prediction = np.zeros((10, 10, 10), np.uint8)
    prediction[0:4] = 1
    prediction[8:10] = 2
    (tmp_path / "case").mkdir()
    nib.save(nib.Nifti1Image(prediction, AFFINE), tmp_path / "case" / "segmentation.nii.gz")
    overlap = compare_with_organ_map(tmp_path / "case", organs, (2, 3))
    assert overlap.dice == pytest.approx(2 * 600 / (600 + 800))
    assert overlap.covered == {2: 1.0, 3: 0.5}
    assert overlap.predicted_ml == pytest.approx(600 * 0.02)
    assert overlap.true_ml == pytest.approx(800 * 0.02)
    assert compare_with_organ_map(tmp_path / "case", organs, (2,)).dice == pytest.approx(2 * 400 / (600 + 400))


def test_absent_labels_are_named(organs):
    with pytest.raises(ScanError, match="no voxel of label 7; it has 2, 3, 5"):
        compare_with_organ_map(organs, organs, (2, 7))
    with pytest.raises(ScanError, match="none given"):
        compare_with_organ_map(organs, organs, ())


def test_organ_map_of_a_real_scan_against_itself(shared):
    organs = shared / "real_ct" / "abdomen_3mm_organs.nii.gz"
    overlap = compare_with_organ_map(organs, organs, (2, 3))
    assert overlap.covered == {2: 1.0, 3: 1.0}
    assert 0 < overlap.dice < 1  # the prediction holds every organ
