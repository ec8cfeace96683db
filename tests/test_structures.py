"""Boxes on worked examples."""

from __future__ import annotations

import pytest

from nephro_monai.structures import Box

SHAPE = (100, 100, 20)


@pytest.mark.parametrize(
    ("box", "extent", "grown"),
    [
        (Box(40, 40, 5, 50, 50, 9), (20, 21, 4), Box(35, 34, 5, 55, 55, 9)),  # evenly; the odd voxel before
        (Box(2, 40, 5, 12, 50, 9), (30, 10, 10), Box(0, 40, 2, 30, 50, 12)),  # at a border to the other side
        (Box(80, 40, 15, 99, 50, 20), (40, 10, 10), Box(60, 40, 10, 100, 50, 20)),
        (Box(40, 40, 5, 90, 50, 9), (20, 5, 30), Box(40, 40, 0, 90, 50, 20)),  # never smaller, never beyond the scan
    ],
)
def test_a_box_grows_to_an_extent_inside_the_scan(box, extent, grown):
    assert box.at_least(extent, SHAPE) == grown
