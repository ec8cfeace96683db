"""All 48 orientations a scan can be stored in: read, and written back as they came."""

from __future__ import annotations

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nephro_monai.io import load_label_map, load_scan
from nephro_monai.io.save_segmentation import save_label_map, to_native_grid
from nephro_monai.structures import Scan

SHAPE, SPACING = (34, 32, 9), (0.7, 0.8, 3.0)
ORIENTATIONS = [
    "".join(codes) for order in permutations(("LR", "PA", "IS")) for codes in product(*order)
]  # fmt: skip


def stored(array: np.ndarray, codes: str) -> nib.Nifti1Image:
    """An R-A-S array as a file with other axes has it."""
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = -12.0, 7.0, 30.0
    image = nib.Nifti1Image(array, affine)
    ras = nib.io_orientation(affine)
    return image.as_reoriented(nib.orientations.ornt_transform(ras, nib.orientations.axcodes2ornt(codes)))


def test_there_are_48() -> None:
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_every_orientation_is_read_as_ras_and_written_as_it_came(codes, tmp_path):
    rng = np.random.default_rng(0)
    hu, labels = rng.integers(-1000, 1000, SHAPE).astype(np.int16), rng.integers(0, 3, SHAPE).astype(np.uint8)
    scan_file, label_file = stored(hu, codes), stored(labels, codes)
    nib.save(scan_file, tmp_path / "imaging.nii.gz")
    nib.save(label_file, tmp_path / "segmentation.nii.gz")
    image, scan = load_scan(tmp_path / "imaging.nii.gz")
    assert scan.native_axcodes == codes
    np.testing.assert_array_equal(image[0].numpy(), hu)
    np.testing.assert_allclose(image.affine.numpy(), stored(hu, "RAS").affine, atol=1e-4)
    label_map = load_label_map(tmp_path / "segmentation.nii.gz")
    np.testing.assert_array_equal(label_map[0].numpy(), labels)
    save_label_map(label_map, scan, tmp_path / "out.nii.gz")
    written = nib.load(tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), np.asarray(label_file.dataobj))
    np.testing.assert_allclose(written.affine, scan_file.affine, atol=1e-4)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(ORIENTATIONS), st.tuples(*[st.integers(1, 12)] * 3), st.integers(0, 2**32 - 1))
def test_label_maps_of_any_shape_turn_back(codes, shape, seed):
    labels = np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)
    file = stored(labels, codes)
    rows = tuple(tuple(float(v) for v in row) for row in file.affine)
    scan = Scan("scan.nii.gz", "nifti", file.shape, rows, codes)
    np.testing.assert_array_equal(to_native_grid(torch.from_numpy(labels)[None], scan), np.asarray(file.dataobj))
