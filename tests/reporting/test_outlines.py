"""Outlines against masks whose outline is known."""

from __future__ import annotations

import re

import numpy as np
import pytest

from nephro_monai.reporting.outlines import SVG_UNITS_PER_PIXEL, mask_outlines, svg_path


def _area(polygon: np.ndarray) -> float:
    x, y = polygon[:-1].T
    return 0.5 * abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))))


def test_a_rectangle_keeps_its_place_and_size():
    mask = np.zeros((20, 30), bool)
    mask[4:10, 12:25] = True
    (polygon,) = mask_outlines(mask)
    assert polygon[:, 0].min() == 12
    assert polygon[:, 0].max() == 25
    assert polygon[:, 1].min() == 4
    assert polygon[:, 1].max() == 10
    assert np.array_equal(polygon[0], polygon[-1])
    assert _area(polygon) == pytest.approx(6 * 13, abs=1)  # the corners are cut by an eighth of a pixel each


def test_a_disc_keeps_its_area_with_few_corners():
    y, x = np.mgrid[:101, :101]
    (polygon,) = mask_outlines((x - 50) ** 2 + (y - 50) ** 2 < 40**2)
    assert _area(polygon) == pytest.approx(np.pi * 40**2, rel=0.02)
    assert len(polygon) < 120


def test_holes_pieces_and_borders():
    mask = np.ones((9, 9), bool)
    mask[3:6, 3:6] = False
    assert len(mask_outlines(mask)) == 2
    mask[:] = False
    mask[0, 0] = mask[8, 8] = True
    assert len(mask_outlines(mask)) == 2
    assert mask_outlines(np.zeros((5, 5), bool)) == []


def test_svg_path_returns_to_the_same_corners():
    polygon = np.array([[1.5, 2.0], [10.0, 2.5], [4.0, 12.0], [1.5, 2.0]])
    path = svg_path([polygon])
    start = [int(v) for v in re.match(r"M(-?\d+) (-?\d+)l", path).groups()]
    steps = np.array(path[path.index("l") + 1 : -1].split(), int).reshape(-1, 2)
    corners = np.vstack([start, start + steps.cumsum(0)])
    assert np.array_equal(corners, polygon[:-1] * SVG_UNITS_PER_PIXEL)
    assert path.endswith("z")
    assert svg_path([]) == ""
