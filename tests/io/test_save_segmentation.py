"""Results come back on the grid they came from."""

from __future__ import annotations

import itertools

import nibabel as nib
import numpy as np
import pytest
import torch

from nephro_monai.errors import OutputError
from nephro_monai.io import LoadScand, SaveSegmentationd, load_label_map, load_scan, save_label_map
from nephro_monai.structures import Scan

ALL_AXCODES = [
    "".join(signs[axis] for axis in order)
    for order in itertools.permutations(range(3))
    for signs in itertools.product("RL", "AP", "SI")
]


def _affine(axcodes: str) -> np.ndarray:
    affine = np.zeros((4, 4))
    for column, code in enumerate(axcodes):
        row = next(i for i, pair in enumerate(("RL", "AP", "SI")) if code in pair)
        affine[row, column] = (0.75, 0.85, 3.5)[row] * (1 if code in "RAS" else -1)
    affine[:, 3] = (-7.0, 11.0, 130.0, 1.0)
    return affine


@pytest.mark.parametrize("axcodes", ALL_AXCODES)
def test_all_48_orientations_come_back_as_they_were(write_nifti, tmp_path, axcodes):
    assert len(set(ALL_AXCODES)) == 48
    affine = _affine(axcodes)
    native = np.random.default_rng(3).integers(0, 3, (36, 33, 34)).astype(np.uint8)
    path = write_nifti(native.astype(np.int16), affine=affine)
    image, scan = load_scan(path)
    assert nib.aff2axcodes(image.affine.numpy()) == ("R", "A", "S")
    save_label_map(image.to(torch.uint8), scan, tmp_path / "out.nii.gz")
    saved = nib.load(tmp_path / "out.nii.gz")
    assert saved.get_data_dtype() == np.uint8
    assert "".join(nib.aff2axcodes(saved.affine)) == axcodes
    np.testing.assert_array_equal(saved.affine, nib.load(path).affine)
    np.testing.assert_array_equal(np.asarray(saved.dataobj), native)
    # A voxel keeps its place in the world.
    x, y, z = 5, 9, 21
    world = image.affine.numpy() @ (x, y, z, 1)
    index = np.rint(np.linalg.inv(saved.affine) @ world).astype(int)[:3]
    assert saved.dataobj[tuple(index)] == int(image[0, x, y, z])


@pytest.mark.parametrize("codes", [(2, 0), (0, 1), (1, 1), (4, 2), (0, 0)])
def test_header_codes_are_kept(write_nifti, tmp_path, codes):
    affine = _affine("IPL") if codes != (0, 0) else np.diag([-0.8, 0.8, 3.0, 1.0])
    path = write_nifti(np.zeros((40, 36, 36), np.int16), affine=affine, codes=codes)
    image, scan = load_scan(path)
    save_label_map(image, scan, tmp_path / "out.nii.gz")
    before, after = nib.load(path), nib.load(tmp_path / "out.nii.gz")
    assert (int(after.header["sform_code"]), int(after.header["qform_code"])) == codes
    np.testing.assert_allclose(after.affine, before.affine, atol=1e-5)
    assert after.shape == before.shape


def test_an_oblique_grid_comes_back(write_nifti, tmp_path):
    angle = np.deg2rad(17)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ _affine("LPS")[:3, :3]
    labels = np.random.default_rng(3).integers(0, 3, (36, 33, 34)).astype(np.uint8)
    path = write_nifti(labels, affine=affine)
    image, scan = load_scan(path)
    save_label_map(image, scan, tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(np.asarray(nib.load(tmp_path / "out.nii.gz").dataobj), labels)
    np.testing.assert_array_equal(nib.load(tmp_path / "out.nii.gz").affine, nib.load(path).affine)


def test_the_same_labels_give_the_same_bytes(write_nifti, tmp_path, hounsfield):
    image, scan = load_scan(write_nifti(hounsfield))
    labels = (image > 0).to(torch.uint8)
    save_label_map(labels, scan, tmp_path / "a.nii.gz")
    save_label_map(labels, scan, tmp_path / "b.nii.gz")
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_the_transform_writes_into_the_case_folder(write_nifti, tmp_path, hounsfield):
    case = LoadScand()({"image": str(write_nifti(hounsfield)), "case": "case_1"})
    case["segmentation"] = torch.zeros_like(case["image"], dtype=torch.uint8)
    assert set(SaveSegmentationd(tmp_path / "out")(case)) == set(case)
    loaded = load_label_map(tmp_path / "out" / "case_1" / "segmentation.nii.gz")
    assert loaded.shape == case["image"].shape
    np.testing.assert_allclose(loaded.affine.numpy(), case["image"].affine.numpy(), atol=1e-6)


def test_other_formats_get_scanner_codes(tmp_path):
    scan = Scan("x.mha", "metaimage", (4, 5, 6), tuple(map(tuple, _affine("LPS"))), "LPS")
    save_label_map(torch.ones((1, 4, 5, 6), dtype=torch.uint8), scan, tmp_path / "a.nii.gz")
    header = nib.load(tmp_path / "a.nii.gz").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)


def test_wrong_grids_and_settings_are_refused(tmp_path):
    scan = Scan("x.nii", "nifti", (6, 5, 4), tuple(map(tuple, _affine("SAR"))), "SAR")
    with pytest.raises(ValueError, match="but the scan"):
        save_label_map(torch.ones((1, 6, 5, 4)), scan, tmp_path / "a.nii.gz")
    with pytest.raises(ValueError, match=r"shape \(1, X, Y, Z\)"):
        save_label_map(torch.ones((4, 5, 6)), scan, tmp_path / "a.nii.gz")
    with pytest.raises(ValueError, match=r"\.nii\.gz"):
        SaveSegmentationd(tmp_path, file_name="a.mha")
    with pytest.raises(ValueError, match="one label map"):
        SaveSegmentationd(tmp_path, keys=("a", "b"))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        save_label_map(torch.ones((1, 4, 5, 6)), scan, tmp_path / "file" / "a.nii.gz")
