"""Label maps of any number type, and files that are none."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from nephro_monai.errors import ScanError
from nephro_monai.evaluation.label_map import LabelMap, read_label_map, same_grid

AFFINE = np.array([[0, 0, -0.8, 9], [0, -0.8, 0, 8], [-3.0, 0, 0, 7], [0, 0, 0, 1]])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
def test_any_number_type(tmp_path, dtype):
    labels = np.random.default_rng(0).integers(0, 3, (4, 5, 6))
    nib.save(nib.Nifti1Image(labels.astype(dtype), AFFINE), tmp_path / "labels.nii.gz")
    found = read_label_map(tmp_path / "labels.nii.gz")
    assert found.labels.dtype == np.uint8
    assert np.array_equal(found.labels, labels)
    assert found.spacing_mm == pytest.approx((3.0, 0.8, 0.8))
    assert found.voxel_ml == pytest.approx(3 * 0.8 * 0.8 / 1000)


def test_values_beyond_a_byte_do_not_wrap_into_labels(tmp_path):
    nib.save(nib.Nifti1Image(np.array([[[257, -255, 2]]], np.int16), AFFINE), tmp_path / "labels.nii")
    assert read_label_map(tmp_path / "labels.nii").labels.ravel().tolist() == [255, 0, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "cannot be read"), (b"\x1f\x8b\x08nonsense", "cannot be read"), (None, "There is no")],
)
def test_broken_files_are_one_clear_error(tmp_path, content, message):
    path = tmp_path / "labels.nii.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ScanError, match=message):
        read_label_map(path)


def test_truncated_gzip_and_four_axes(tmp_path):
    path = tmp_path / "labels.nii.gz"
    nib.save(nib.Nifti1Image(np.random.default_rng(0).integers(0, 3, (30, 30, 30)).astype(np.uint8), AFFINE), path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ScanError, match="cannot be read"):
        read_label_map(path)
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2, 2), np.uint8), AFFINE), path)
    with pytest.raises(ScanError, match="three axes"):
        read_label_map(path)


def test_grids_must_agree():
    labels = LabelMap(np.zeros((2, 3, 4), np.uint8), AFFINE)
    same_grid(labels, LabelMap(labels.labels, AFFINE + 1e-5))
    with pytest.raises(ScanError, match="shape"):
        same_grid(labels, LabelMap(labels.labels[1:], AFFINE))
    with pytest.raises(ScanError, match="affines"):
        same_grid(labels, LabelMap(labels.labels, AFFINE + 0.01))
