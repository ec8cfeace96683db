"""MetaImage and NRRD, good and bad."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from nephro_monai.errors import ScanError
from nephro_monai.io import load_scan, save_label_map


def _image(array, spacing=(0.7, 0.9, 2.5)):
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(spacing + (1.0,) * (image.GetDimension() - 3) if image.GetDimension() > 2 else spacing[:2])
    return image


@pytest.fixture
def turned():
    """(10, 40, 36) HU with a direction that is neither identity nor LPS."""
    array = np.random.default_rng(4).integers(-1000, 1000, (10, 40, 36)).astype(np.int16)
    image = _image(array)
    image.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, -1))
    image.SetOrigin((12.0, -34.0, 56.0))
    return image


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(
    ("suffix", "name"), [("mha", "metaimage"), ("mhd", "metaimage"), ("nrrd", "nrrd"), ("nhdr", "nrrd")]
)
def test_every_voxel_lies_where_itk_says(tmp_path, turned, suffix, name, compress):
    path = tmp_path / f"a.{suffix}"
    SimpleITK.WriteImage(turned, str(path), compress)
    image, scan = load_scan(path)
    assert (scan.format, scan.native_shape, scan.notes) == (name, (36, 40, 10), ())
    assert scan.sform_code is None
    for index in ((0, 0, 0), (35, 39, 9), (4, 17, 6)):
        left, posterior, superior = turned.TransformIndexToPhysicalPoint(index)
        voxel = np.linalg.inv(image.affine.numpy()) @ (-left, -posterior, superior, 1)
        assert float(image[0][tuple(np.rint(voxel[:3]).astype(int))]) == turned[index]


def test_the_segmentation_lies_on_the_files_grid(tmp_path, turned):
    SimpleITK.WriteImage(turned, str(tmp_path / "a.mha"))
    image, scan = load_scan(tmp_path / "a.mha")
    save_label_map(image > 0, scan, tmp_path / "out.nii.gz")
    saved = SimpleITK.ReadImage(str(tmp_path / "out.nii.gz"))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(saved), SimpleITK.GetArrayFromImage(turned) > 0)
    for name in ("GetOrigin", "GetSpacing", "GetDirection"):
        np.testing.assert_allclose(getattr(saved, name)(), getattr(turned, name)(), atol=1e-6)


def test_float_and_trailing_axes(tmp_path):
    array = np.random.default_rng(4).normal(size=(1, 6, 40, 36))
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array, isVector=False), str(tmp_path / "a.nrrd"))
    image, scan = load_scan(tmp_path / "a.nrrd")
    assert scan.native_shape == (36, 40, 6)
    assert any("Trailing" in note for note in scan.notes)
    assert any("names no space" in note for note in scan.notes)
    np.testing.assert_allclose(np.sort(image.numpy().ravel()), np.sort(array.ravel()), rtol=1e-6)


def _changed(path, old, new):
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))


BAD = {
    "empty": ("a.mha", lambda p: p.write_bytes(b""), "empty"),
    "text": ("a.nrrd", lambda p: p.write_bytes(b"hello"), "header cannot be read"),
    "truncated": ("a.mha", lambda p: p.write_bytes(p.read_bytes()[:9000]), "truncated or damaged"),
    "truncated nrrd": ("a.nrrd", lambda p: p.write_bytes(p.read_bytes()[:9000]), "truncated or damaged"),
    "raw file missing": ("a.mhd", lambda p: p.with_suffix(".raw").unlink(), "data file is missing"),
    "zero spacing": ("a.mha", lambda p: _changed(p, b"Spacing = 0.75 ", b"Spacing = 0 "), "none may be zero"),
    "singular": ("a.mha", lambda p: _changed(p, b"Matrix = 1 0 0 0 1 0", b"Matrix = 1 0 0 1 0 0"), "singular"),
    "shear": ("a.mha", lambda p: _changed(p, b"Matrix = 1 0 0 0 1 0", b"Matrix = 1 0 0 0.5 0.8 0"), "right angle"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_get_one_clear_line(tmp_path, kind):
    name, damage, words = BAD[kind]
    path = tmp_path / name
    SimpleITK.WriteImage(_image(np.zeros((10, 40, 36), np.int16), (0.75, 0.75, 2.5)), str(path))
    damage(path)
    with pytest.raises(ScanError, match=words) as caught:
        load_scan(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("array", "vector", "words"),
    [
        (np.zeros((40, 36), np.int16), False, "2-D"),
        (np.zeros((2, 10, 40, 36), np.int16), False, "4-D"),
        (np.zeros((10, 40, 36, 3), np.uint8), True, "3 values"),
        (np.full((10, 40, 36), np.nan, np.float32), False, "14400 of 14400 voxels are NaN"),
    ],
)
def test_other_kinds_of_volumes_are_refused(tmp_path, array, vector, words):
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array, isVector=vector), str(tmp_path / "a.nrrd"))
    with pytest.raises(ScanError, match=words):
        load_scan(tmp_path / "a.nrrd")


def test_nifti_and_metaimage_of_one_scan_agree(tmp_path, turned):
    SimpleITK.WriteImage(turned, str(tmp_path / "a.mha"))
    SimpleITK.WriteImage(turned, str(tmp_path / "a.nii.gz"))
    first, second = (load_scan(tmp_path / name)[0] for name in ("a.mha", "a.nii.gz"))
    np.testing.assert_array_equal(first.numpy(), second.numpy())
    np.testing.assert_allclose(first.affine.numpy(), second.affine.numpy(), atol=1e-5)
    assert nib.aff2axcodes(first.affine.numpy()) == ("R", "A", "S")
