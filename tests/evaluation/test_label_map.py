"""Label maps of any number type, and files that are none."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from nephro_monai.errors import ScanError
from nephro_monai.evaluation.label_map import LabelMap, crop_pair, read_label_map, same_grid

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
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2, 2, 2), np.uint8), AFFINE), path)
    with pytest.raises(ScanError, match="three axes"):
        read_label_map(path)


def test_a_fourth_axis_holds_scores_of_classes(tmp_path):
    scores = np.random.default_rng(0).random((4, 5, 6, 3)).astype(np.float32)
    nib.save(nib.Nifti1Image(scores, AFFINE), tmp_path / "labels.nii.gz")
    found = read_label_map(tmp_path / "labels.nii.gz")
    assert np.array_equal(found.labels, scores.argmax(axis=-1))
    assert "class scores" in found.notes[0]
    nib.save(nib.Nifti1Image(np.ones((4, 5, 6, 1), np.uint8), AFFINE), tmp_path / "labels.nii.gz")
    assert read_label_map(tmp_path / "labels.nii.gz").labels.tolist() == np.ones((4, 5, 6)).tolist()


def test_doubtful_values(tmp_path):
    path = tmp_path / "labels.nii"
    nib.save(nib.Nifti1Image(np.array([[[0.4, 1.6, 7.0]]], np.float32), AFFINE), path)
    found = read_label_map(path)
    assert found.labels.ravel().tolist() == [0, 2, 7]
    assert "rounded" in found.notes[0]
    assert found.unknown_labels() == {7: 1}
    nib.save(nib.Nifti1Image(np.array([[[0.4, np.nan]]], np.float32), AFFINE), path)
    with pytest.raises(ScanError, match="NaN"):
        read_label_map(path)
    nib.save(nib.Nifti1Image(np.zeros((1, 1, 2), np.complex64), AFFINE), path)
    with pytest.raises(ScanError, match="complex64"):
        read_label_map(path)


def test_a_flipped_bit_is_noticed_by_the_checksum(tmp_path):
    path = tmp_path / "labels.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((9, 9, 9), np.uint8), AFFINE), path)
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)
    with pytest.raises(ScanError, match="cannot be read"):
        read_label_map(path)


def test_cropping_keeps_what_is_labeled():
    a, b = np.zeros((9, 8, 7), np.uint8), np.zeros((9, 8, 7), np.uint8)
    a[2, 3, 4], b[5, 3, 6] = 1, 2
    prediction, truth, corner = crop_pair(LabelMap(a, AFFINE), LabelMap(b, AFFINE))
    assert corner == (2, 3, 4)
    assert prediction.labels.shape == truth.labels.shape == (4, 1, 3)
    assert (prediction.labels[0, 0, 0], truth.labels[3, 0, 2]) == (1, 2)
    empty = LabelMap(np.zeros((3, 3, 3), np.uint8), AFFINE)
    assert crop_pair(empty, empty)[0].labels.shape == (1, 1, 1)
    assert empty.axial_axis == 0


def test_grids_must_agree():
    labels = LabelMap(np.zeros((2, 3, 4), np.uint8), AFFINE)
    same_grid(labels, LabelMap(labels.labels, AFFINE + 1e-5))
    with pytest.raises(ScanError, match="shape"):
        same_grid(labels, LabelMap(labels.labels[1:], AFFINE))
    with pytest.raises(ScanError, match="affines"):
        same_grid(labels, LabelMap(labels.labels, AFFINE + 0.01))
