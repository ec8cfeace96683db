"""Real label maps become smooth shapes that keep their volume."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from nephro_monai.errors import TrainingDataError
from nephro_monai.phantom.canvas import Canvas, Grid
from nephro_monai.phantom.kidneys import resample_shapes
from nephro_monai.phantom.shapes import deform_labels, hull_depth, procedural_kidneys, read_label_map
from nephro_monai.phantom.tumors import add_mass

AFFINE = np.array([[0, 0, -1.0, 0], [0, -1.0, 0, 0], [-5.0, 0, 0, 0], [0, 0, 0, 1]])
VOLUME = 4 / 3 * np.pi * 50 * 25 * 25


def _write(path, labels, affine=AFFINE):
    image = nib.Nifti1Image(labels, affine)
    nib.save(image, path)
    return path


@pytest.fixture(scope="module")
def label_file(tmp_path_factory):
    """Two ellipsoid kidneys in 5 mm slices, the one on the patient's left with a tumor."""
    z, y, x = np.ogrid[-20:20, -90:90, -100:100]
    labels = np.zeros((40, 180, 200), np.uint8)
    for side in (-1, 1):
        labels[(z * 5 / 50) ** 2 + (y / 25) ** 2 + ((x - side * 55) / 25) ** 2 < 1] = 1
    labels[(z * 5 / 15) ** 2 + ((y - 20) / 15) ** 2 + ((x - 70) / 15) ** 2 < 1] = 2
    return _write(tmp_path_factory.mktemp("labels") / "segmentation.nii.gz", labels)


def _volume(field):
    return float((field < 0).sum()) * 8


def test_volume_survives_reading_and_deforming(label_file):
    labels = read_label_map(label_file)
    assert labels.px == 1.0
    rng = np.random.default_rng(3)
    shapes = deform_labels(labels, rng, yaw=0.1, scale=1.0, mirror=False)
    tumor = 4 / 3 * np.pi * 15**3
    assert _volume(shapes.tumor) == pytest.approx(tumor, rel=0.2)
    kidneys = _volume(np.maximum(shapes.kidney, -shapes.tumor))
    assert kidneys == pytest.approx(2 * VOLUME - 0.55 * tumor, rel=0.1)
    larger = deform_labels(labels, rng, yaw=0.0, scale=1.2, mirror=False)
    assert _volume(larger.kidney) == pytest.approx(_volume(shapes.kidney) * 1.2**3, rel=0.06)


def test_mirroring_moves_the_tumor_to_the_other_side(label_file):
    labels = read_label_map(label_file)
    x = [
        float(np.argwhere(deform_labels(labels, np.random.default_rng(0), 0.0, 1.0, mirror).tumor < 0)[:, 2].mean())
        for mirror in (False, True)
    ]
    middle = deform_labels(labels, np.random.default_rng(0), 0.0, 1.0, False).tumor.shape[2] / 2
    assert x[0] > middle > x[1]


def test_thick_slices_become_smooth_shapes(label_file):
    """Along z the outline must move by less than a voxel per step, where copied labels would jump."""
    shapes = deform_labels(read_label_map(label_file), np.random.default_rng(0), 0.0, 1.0, False)
    canvas = Canvas(Grid((60, 100, 100), (1.0, 2.0, 2.0)), np.random.default_rng(0))
    fields = resample_shapes(shapes, canvas, closing_mm=8.0)
    areas = (fields.kidney < 0).sum(axis=(1, 2)).astype(float)
    steps = np.abs(np.diff(areas)) / areas.max()
    assert steps.max() < 0.05


def test_any_orientation_is_read(label_file, tmp_path):
    image = nib.load(label_file)
    turned = nib.as_closest_canonical(image)
    nib.save(turned, tmp_path / "ras.nii.gz")
    first, second = read_label_map(label_file), read_label_map(tmp_path / "ras.nii.gz")
    np.testing.assert_allclose(first.kidney, second.kidney)
    np.testing.assert_allclose(first.center, second.center)


def test_unusable_label_maps_are_refused(tmp_path):
    with pytest.raises(TrainingDataError, match="holds no kidney"):
        read_label_map(_write(tmp_path / "empty.nii.gz", np.zeros((10, 20, 20), np.uint8)))
    with pytest.raises(TrainingDataError, match="three axes"):
        read_label_map(_write(tmp_path / "flat.nii.gz", np.ones((20, 20), np.uint8)))
    (tmp_path / "broken.nii.gz").write_bytes(b"no gzip")
    with pytest.raises(TrainingDataError, match="Cannot read"):
        read_label_map(tmp_path / "broken.nii.gz")


def test_procedural_kidneys_lie_left_and_right_and_have_a_sinus():
    shapes = procedural_kidneys(np.random.default_rng(5), (-1, 1))
    components, _ = ndimage.label(shapes.kidney < 0)
    sizes = np.sort(np.bincount(components.ravel())[1:])[::-1] * 8 / 1000
    assert len(sizes) >= 2 and 60 < sizes[1] <= sizes[0] < 500, "volumes in ml"
    hull = hull_depth(shapes, 9.0)
    sinus = (hull > 0) & (shapes.kidney > 0)
    assert sinus.sum() * 8 > 500, "the hull fills the notch of the sinus"
    covered = (hull[shapes.kidney < -1] > 0).mean()
    assert covered > 0.9, "and covers nearly all of the kidney (the field is a distance only roughly)"


@pytest.mark.parametrize("diameter", [12.0, 40.0, 90.0])
def test_a_mass_has_the_size_asked_for(diameter):
    rng = np.random.default_rng(7)
    shapes = procedural_kidneys(rng, (-1, 1))
    grown = add_mass(shapes, rng, diameter, np.array([0, 30.0, 0]))
    found = 2 * (_volume(grown.tumor) * 0.239) ** (1 / 3)
    assert found == pytest.approx(diameter, rel=0.25)
    assert (grown.kidney <= grown.tumor + 1e-4).all(), "a tumor is part of its kidney"
