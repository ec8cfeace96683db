"""Shapes and random fields against what geometry says."""

from __future__ import annotations

import numpy as np
import pytest

from nephro_monai.phantom.canvas import Canvas, Grid, rotation_matrix, smooth_noise
from nephro_monai.phantom.tissues import Tissue

GRID = Grid((40, 60, 60), (3.0, 2.0, 2.0))


def test_grid_is_centered_and_in_millimeters():
    z, y, x = GRID.axes
    assert z[0] == -58.5 and z[-1] == 58.5
    assert y[0] == x[0] == -59.0
    assert GRID.extent == (120.0, 120.0, 120.0)


def test_bounds_are_cut_to_the_grid():
    bounds = GRID.bounds(np.array([-1000, -10, 0]), np.array([1000, 10, 1000]))
    assert bounds is not None and bounds[0] == slice(0, 40)
    assert np.abs(GRID.axes[1][bounds[1]]).max() <= 10
    assert GRID.bounds(np.array([500, 0, 0]), np.array([600, 1, 1])) is None


@pytest.mark.parametrize("yaw", [0.0, 0.6])
def test_an_ellipsoid_has_its_volume(yaw):
    canvas = Canvas(GRID, np.random.default_rng(0))
    bounds, gauge = canvas.ellipsoid(np.zeros(3), np.array([30, 20, 12.0]), rotation_matrix(yaw))
    volume = (gauge < 1).sum() * 12
    assert volume == pytest.approx(4 / 3 * np.pi * 30 * 20 * 12, rel=0.03)
    canvas.paint(bounds, gauge < 1, Tissue.LIVER, over=None)
    assert (canvas.tissue == Tissue.LIVER).sum() * 12 == volume


def test_paint_respects_what_it_may_cover():
    canvas = Canvas(GRID, np.random.default_rng(0))
    canvas.tissue[:] = Tissue.VISCERAL_FAT
    canvas.tissue[:20] = Tissue.MUSCLE
    bounds, gauge = canvas.ellipsoid(np.zeros(3), np.full(3, 20.0))
    canvas.paint(bounds, gauge < 1, Tissue.SPLEEN)
    assert not (canvas.tissue[:20] == Tissue.SPLEEN).any()
    assert (canvas.tissue[20:] == Tissue.SPLEEN).any()


def test_a_tube_joins_its_points():
    canvas = Canvas(GRID, np.random.default_rng(0))
    bounds, distance = canvas.tube(np.array([[-40, 0, 0], [40, 0, 0.0]]), np.array([6, 6.0]))
    inside = np.zeros(GRID.shape, bool)
    inside[bounds] = distance < 0
    area = inside[10:-10].sum(axis=(1, 2)) * 4
    assert area.min() > 0.8 * np.pi * 36 and area.max() < 1.2 * np.pi * 36


def test_a_thin_tube_is_not_lost_between_thick_slices():
    canvas = Canvas(Grid((10, 60, 60), (5.0, 1.0, 1.0)), np.random.default_rng(0))
    _, distance = canvas.tube(np.array([[0, -20, 0], [0, 20, 0.0]]), np.array([2, 2.0]))
    assert (distance < 0).any(), "z = 0 lies between two slices"


@pytest.mark.parametrize("scale", [12.0, 40.0])
def test_smooth_noise_is_standardized_smooth_and_seeded(scale):
    noise = smooth_noise(np.random.default_rng(1), GRID.shape, GRID.spacing, scale)
    assert 0.7 < noise.std() < 1.3
    assert np.abs(np.diff(noise, axis=2)).mean() < 4 * GRID.spacing[2] / scale
    again = smooth_noise(np.random.default_rng(1), GRID.shape, GRID.spacing, scale)
    np.testing.assert_array_equal(noise, again)
