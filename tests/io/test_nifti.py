"""NIfTI files, good and bad."""

from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest

from nephro_monai.errors import ScanError
from nephro_monai.io import load_label_map, load_scan
from nephro_monai.io.nifti import read_nifti

KITS19_AFFINE = np.array([[0, 0, -0.8, 0], [0, -0.8, 0, 0], [-3.0, 0, 0, 0], [0, 0, 0, 1]], dtype=float)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.float32, np.float64]
)
def test_every_number_type_gives_nibabels_values(write_nifti, hounsfield, dtype, name):
    array = (np.abs(hounsfield) % 100).astype(dtype)
    raw = read_nifti(write_nifti(array, name))
    assert raw.array.dtype == np.float32
    np.testing.assert_array_equal(raw.array, array.astype(np.float32))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_both_byte_orders_and_both_versions(tmp_path, hounsfield, order, kind):
    header = kind.header_class(endianness=order)
    header.set_data_dtype(np.dtype(np.int16).newbyteorder(order))
    image = kind(hounsfield, np.diag([0.7, 0.7, 2.0, 1]), header)
    nib.save(image, tmp_path / "a.nii.gz")
    raw = read_nifti(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(raw.array, hounsfield)
    np.testing.assert_allclose(raw.affine, image.affine)


def test_slope_and_intercept(write_nifti, hounsfield):
    path = write_nifti(hounsfield, "a.nii", change=lambda h: h.__setitem__("scl_slope", 0.5))
    path2 = write_nifti(
        hounsfield, "b.nii", change=lambda h: (h.__setitem__("scl_slope", 2), h.__setitem__("scl_inter", -1024))
    )
    np.testing.assert_array_equal(read_nifti(path).array, hounsfield * 0.5)
    np.testing.assert_array_equal(read_nifti(path2).array, nib.load(path2).get_fdata())
    path3 = write_nifti(
        hounsfield, "c.nii", change=lambda h: (h.__setitem__("scl_slope", 0), h.__setitem__("scl_inter", 7))
    )
    np.testing.assert_array_equal(read_nifti(path3).array, hounsfield)  # slope 0: no scaling


@pytest.mark.parametrize(("codes", "notes"), [((2, 0), 0), ((0, 1), 0), ((1, 1), 0), ((0, 0), 1)])
def test_the_affine_is_nibabels_for_all_header_codes(write_nifti, hounsfield, codes, notes):
    angle = np.deg2rad(5)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-0.8, -0.8, 3.0])
    affine[:3, 3] = 10, -20, 30
    path = write_nifti(hounsfield, affine=affine, codes=codes)
    raw = read_nifti(path)
    np.testing.assert_allclose(raw.affine, nib.load(path).affine, atol=1e-6)
    assert (raw.sform_code, raw.qform_code) == codes
    assert len(raw.notes) == notes


def test_sform_wins_over_qform(tmp_path, hounsfield):
    image = nib.Nifti1Image(hounsfield, KITS19_AFFINE)
    image.set_sform(KITS19_AFFINE, 1)
    image.set_qform(np.diag([1.0, 1.0, 1.0, 1.0]), 1, update_affine=False)
    nib.save(image, tmp_path / "a.nii.gz")
    np.testing.assert_allclose(read_nifti(tmp_path / "a.nii.gz").affine, KITS19_AFFINE)


@pytest.mark.parametrize("codes", [(2, 0), (0, 1)])
def test_kits19_headers_are_turned_to_ras(write_nifti, codes):
    native = np.random.default_rng(1).integers(-1000, 1000, (8, 40, 36)).astype(np.int16)  # I, P, L
    image, scan = load_scan(write_nifti(native, affine=KITS19_AFFINE, codes=codes))
    assert scan.native_axcodes == "IPL"
    assert scan.native_shape == (8, 40, 36)
    assert tuple(image.shape) == (1, 36, 40, 8)
    np.testing.assert_array_equal(image[0].numpy(), native.transpose(2, 1, 0)[::-1, ::-1, ::-1])
    for index in ((0, 0, 0), (5, 7, 3)):
        k, j, i = 35 - index[0], 39 - index[1], 7 - index[2]
        np.testing.assert_allclose(image.affine.numpy() @ (*index, 1), KITS19_AFFINE @ (i, j, k, 1), atol=1e-5)


def test_a_trailing_axis_of_length_one_is_dropped_with_a_note(write_nifti, hounsfield):
    image, scan = load_scan(write_nifti(hounsfield[..., None]))
    assert tuple(image.shape[1:]) == hounsfield.shape
    assert any("Trailing" in note for note in scan.notes)


def _bad_header(write_nifti, array, **values):
    return write_nifti(array, "bad.nii", change=lambda header: [header.__setitem__(k, v) for k, v in values.items()])


BAD_FILES = {
    "truncated gzip": (lambda w, a: _cut(w(a), 0.5), "truncated or damaged"),
    "damaged gzip": (lambda w, a: _flip(w(a)), "truncated or damaged|ends before|NIfTI"),
    "gzip without its end": (lambda w, a: _cut(w(a), None), "truncated or damaged"),
    "truncated plain file": (lambda w, a: _cut(w(a, "a.nii"), 0.5), "ends before its last voxel"),
    "gz that is not one": (lambda w, a: w(a, "a.nii").rename(w(a).with_name("b.nii.gz")), "not gzip-compressed"),
    "nii that is gzip": (lambda w, a: w(a).rename(w(a, "c.nii").with_name("b.nii")), "rename it to .nii.gz"),
    "empty file": (lambda w, a: _cut(w(a), 0), "empty"),
    "empty gzip": (lambda w, a: _fill(w(a), gzip.compress(b"")), "not a NIfTI"),
    "text in gzip": (lambda w, a: _fill(w(a), gzip.compress(b"hello" * 200)), "not a NIfTI"),
    "half a header": (lambda w, a: _cut(w(a, "a.nii"), 200), "header is truncated"),
    "2-D": (lambda w, a: w(a[..., 0]), "2-D"),
    "4-D": (lambda w, a: w(np.stack([a, a], -1)), "4-D"),
    "RGB": (lambda w, a: w(np.zeros(a.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])), "RGB.*gray"),
    "complex": (lambda w, a: w(a.astype(np.complex64)), "complex64.*gray"),
    "NaN": (lambda w, a: w(np.where(np.arange(10) == 3, np.nan, a).astype(np.float32)), "1440 of 14400 voxels are NaN"),
    "infinite": (lambda w, a: w(np.where(a == a.max(), np.inf, a).astype(np.float64)), "voxels are NaN or infinite"),
    "zero spacing in the sform": (lambda w, a: _bad_header(w, a, srow_x=(0, 0, 0, 0)), "none may be zero"),
    "singular affine": (lambda w, a: _bad_header(w, a, srow_x=(1, 1, 0, 0), srow_y=(1, 1, 0, 0)), "singular"),
    "shear": (lambda w, a: _bad_header(w, a, srow_y=(0, 0.8, 0.6, 0)), "right angle"),
    "NaN in the affine": (lambda w, a: _bad_header(w, a, srow_y=(0, np.nan, 0, 0)), "NaN"),
    "spacing in meters": (lambda w, a: _bad_header(w, a, xyzt_units=1), "only mm"),
    "spacing of 0.8 um": (lambda w, a: _bad_header(w, a, srow_x=(0.0008, 0, 0, 0)), "allowed is 0.05 to 25 mm"),
    "unknown type": (lambda w, a: _bad_header(w, a, datatype=999), "unknown NIfTI data type"),
    "zero voxels": (lambda w, a: _bad_header(w, a, dim=(3, 36, 0, 10, 1, 1, 1, 1)), "at least one voxel"),
    "pair of files": (lambda w, a: _bad_header(w, a, magic=b"ni1"), "single-file"),
    "three slices": (lambda w, a: w(a[..., :3]), "3 axial slices"),
    "31 pixels": (lambda w, a: w(a[:31]), "31 x 40 pixels"),
}


def _cut(path, share):
    content = path.read_bytes()
    size = len(content) - 4 if share is None else int(len(content) * share) if share < 1 else share
    path.write_bytes(content[:size])
    return path


def _fill(path, content):
    path.write_bytes(content)
    return path


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    return path


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_files_get_one_clear_line(write_nifti, hounsfield, kind):
    make, words = BAD_FILES[kind]
    path = make(write_nifti, hounsfield)
    with pytest.raises(ScanError, match=words) as caught:
        load_scan(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    assert "; " in message  # what is wrong; what to do


def test_zero_spacing_in_a_qform_is_not_repaired_silently(write_nifti, hounsfield):
    path = write_nifti(
        hounsfield, "a.nii", codes=(0, 1), change=lambda h: h["pixdim"].__setitem__(slice(1, 4), (0.8, 0, 3))
    )
    with pytest.raises(ScanError, match="none may be zero"):
        load_scan(path)


def test_extreme_values_are_kept_and_noted(write_nifti, hounsfield):
    array = hounsfield.copy()
    array[0, 0, 0], array[1, 1, 1] = -6986, 18326
    image, scan = load_scan(write_nifti(array))
    assert (float(image.min()), float(image.max())) == (-6986, 18326)
    assert any("-6986 to 18326" in note for note in scan.notes)


@pytest.mark.parametrize(("shift", "words"), [(1000, "do not look like HU"), (0, None)])
def test_values_that_do_not_look_like_hu_are_noted(write_nifti, hounsfield, shift, words):
    _, scan = load_scan(write_nifti((hounsfield.astype(np.int32) + shift).astype(np.int16)))
    assert any(words in note for note in scan.notes) if words else scan.notes == ()


def test_eight_slices_and_wide_slices_pass(write_nifti):
    image, _ = load_scan(write_nifti(np.zeros((64, 96, 8), np.int16)))
    assert tuple(image.shape) == (1, 64, 96, 8)


def test_oblique_grids_are_noted(write_nifti, hounsfield):
    angle = np.deg2rad(20)
    affine = np.eye(4)
    affine[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    _, scan = load_scan(write_nifti(hounsfield, affine=affine))
    assert any("20 degrees" in note for note in scan.notes)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_label_maps_of_any_type(write_nifti, dtype):
    labels = np.random.default_rng(2).integers(0, 3, (8, 40, 36)).astype(dtype)
    loaded = load_label_map(write_nifti(labels, affine=KITS19_AFFINE))
    assert str(loaded.dtype) == "torch.uint8"
    np.testing.assert_array_equal(loaded[0].numpy(), labels.transpose(2, 1, 0)[::-1, ::-1, ::-1])


@pytest.mark.parametrize(
    ("value", "words"), [(3, r"labels \[3\]"), (0.5, "no label map"), (-1, "no label map"), (300, "no label map")]
)
def test_other_labels_are_refused(write_nifti, value, words):
    labels = np.zeros((40, 40, 8), np.float32)
    labels[3, 4, 5] = value
    path = write_nifti(labels)
    with pytest.raises(ScanError, match=words):
        load_label_map(path)
    if value == 3:
        assert int(load_label_map(path, allowed=None).max()) == 3


def test_the_real_scan(shared):
    path = shared / "real_ct" / "abdomen_3mm.nii.gz"
    if not path.exists():
        pytest.skip("needs real_ct/abdomen_3mm.nii.gz")
    image, scan = load_scan(path)
    assert tuple(image.shape) == (1, 122, 101, 30)
    assert scan.native_axcodes == "RAS"
    np.testing.assert_allclose(image[0].numpy(), nib.load(path).get_fdata(), rtol=1e-5, atol=1e-3)
