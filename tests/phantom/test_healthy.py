"""Tumors taken out leave whole kidneys, not craters."""

from __future__ import annotations

import numpy as np
import pytest

from nephro_monai.phantom.healthy import without_tumors
from nephro_monai.phantom.shapes import REACH_MM, Shapes, ellipsoid_distance

SPACING = (2.0, 2.0, 2.0)
SHAPE = (80, 60, 120)
SPINE = np.array([0.0, 30.0, 5.0])
RADII = np.array([50.0, 25.0, 28.0])


def shapes(
    kidneys: tuple[tuple[float, float, float], ...], tumors: tuple[tuple[tuple[float, ...], float], ...]
) -> Shapes:
    """Ellipsoid kidneys at centers in mm, with spherical tumors of a radius in mm."""
    origin = -(np.array(SHAPE) - 1) / 2 * np.array(SPACING)
    far = np.full(SHAPE, 2 * REACH_MM, np.float32)
    empty = Shapes(origin, SPACING, far, far)
    tumor = kidney = far
    for center in kidneys:
        kidney = np.minimum(kidney, ellipsoid_distance(empty.coordinates, np.array(center), RADII, np.eye(3)))
    for center, radius in tumors:
        ball = ellipsoid_distance(empty.coordinates, np.array(center), np.full(3, radius), np.eye(3))
        tumor = np.minimum(tumor, ball)
    return empty.with_fields(np.minimum(kidney, tumor), tumor)


def halves(found: Shapes) -> list[np.ndarray]:
    """Voxels of the kidney right and left of the spine in mm, as (N, 3) arrays."""
    points = np.argwhere(found.kidney < 0) * found.spacing + found.origin
    return [points[points[:, 2] < SPINE[2]], points[points[:, 2] >= SPINE[2]]]


RIGHT, LEFT = (0.0, 0.0, -50.0), (6.0, 0.0, 60.0)


@pytest.mark.parametrize("radius", [24.0, 40.0, 60.0])
def test_the_kidney_of_a_large_tumor_becomes_the_mirror_image_of_the_other(radius: float) -> None:
    given = shapes((RIGHT, LEFT), (((0.0, -15.0, -70.0 + 0.5 * radius), radius),))
    found = without_tumors(given, SPINE, np.random.default_rng(1))
    assert not (found.tumor < 0).any()
    right, left = halves(found)
    assert len(right) == pytest.approx(len(left), rel=0.03)
    np.testing.assert_allclose(left.mean(axis=0), LEFT, atol=0.3)  # the healthy one stays where it was
    moved = right.mean(axis=0) - (LEFT[0], LEFT[1], 2 * SPINE[2] - LEFT[2])
    assert (np.abs(moved) <= (10.3, 4.3, 0.3)).all() and np.abs(moved[:2]).max() > 0.5
    np.testing.assert_allclose(np.ptp(right, axis=0), np.ptp(left, axis=0), atol=4)


def test_the_image_is_whole_where_the_grid_was_too_narrow_for_it() -> None:
    given = shapes((RIGHT, LEFT), (((0.0, 0.0, -40.0), 30.0),))
    columns = slice(int((-75 - given.origin[2]) / SPACING[2]), None)
    origin = given.origin + np.array([0, 0, columns.start * SPACING[2]])
    spine = SPINE + np.array([0, 0, 15])  # the image lies 30 mm farther to the right
    narrow = Shapes(origin, SPACING, given.kidney[:, :, columns], given.tumor[:, :, columns])
    healthy = shapes((LEFT,), ())
    found = without_tumors(narrow, spine, np.random.default_rng(2))
    assert (found.kidney < 0).sum() == pytest.approx(2 * (healthy.kidney < 0).sum(), rel=0.03)


def test_both_kidneys_with_tumors_give_way_to_procedural_ones() -> None:
    given = shapes((RIGHT, LEFT), (((0.0, 0.0, -60.0), 20.0), ((0.0, 0.0, 70.0), 20.0)))
    found = without_tumors(given, SPINE, np.random.default_rng(3))
    assert not (found.tumor < 0).any()
    right, left = halves(found)
    assert min(len(right), len(left)) * 0.008 > 40
    np.testing.assert_allclose(np.concatenate([right, left]).mean(axis=0)[:2], (3, 0), atol=8)


def test_a_lonely_kidney_with_a_tumor_gives_way_to_procedural_ones() -> None:
    found = without_tumors(shapes((RIGHT,), (((0.0, 0.0, -70.0), 25.0),)), SPINE, np.random.default_rng(4))
    assert min(len(half) for half in halves(found)) * 0.008 > 40


def test_a_small_tumor_mostly_becomes_kidney() -> None:
    given = shapes((RIGHT, LEFT), (((0.0, -20.0, -60.0), 12.0),))
    kept = 0
    for seed in range(40):
        found = without_tumors(given, SPINE, np.random.default_rng(seed))
        assert not (found.tumor < 0).any()
        kept += found.kidney is given.kidney
    assert 20 <= kept <= 36


def test_halves_of_a_horseshoe_stay_together() -> None:
    bridge = ((40.0, -10.0, 5.0), (40.0, -10.0, -20.0), (40.0, -10.0, 30.0))
    given = shapes((RIGHT, LEFT, *bridge), (((-20.0, 0.0, -75.0), 30.0),))
    right, left = halves(without_tumors(given, SPINE, np.random.default_rng(5)))
    assert len(right) == pytest.approx(len(left), rel=0.06)
    assert right[:, 2].max() > SPINE[2] - 3 and left[:, 2].min() < SPINE[2] + 3


def test_without_a_tumor_nothing_is_drawn_or_changed() -> None:
    rng = np.random.default_rng(6)
    given = shapes((RIGHT, LEFT), ())
    assert without_tumors(given, SPINE, rng) is given
    assert rng.uniform() == np.random.default_rng(6).uniform()
