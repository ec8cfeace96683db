"""Slice boxes to kidneys: the paper's rules and ours, on worked examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from nephro_monai.geometry.axial_frame import AxialFrame
from nephro_monai.geometry.kidney_boxes import MergeSettings, SliceDetections, edges_to_box, merge_slice_boxes
from nephro_monai.structures import Box

SLICES = 20
SHAPE = (128, 128, 100)  # 2 mm pixels are 2 mm voxels; 5 voxels of 2 mm per slice
SPACING = (2.0, 2.0, 2.0)
FRAME = AxialFrame(SHAPE, (128, 128), tuple((5 * k, 5 * k + 5) for k in range(SLICES)), top=0, left=0, size=128)
PLAIN = MergeSettings(margin_mm=0.0)
RIGHT = (20, 60, 40, 85)
LEFT = (85, 62, 106, 84)


def scan(*objects: tuple[Sequence[int], Sequence[float], float]) -> list[SliceDetections]:
    """Detections of objects given as (slices, box, score)."""
    found: list[list[tuple[Sequence[float], float]]] = [[] for _ in range(SLICES)]
    for slices, box, score in objects:
        for k in slices:
            found[k].append((box, score))
    return [
        SliceDetections(
            np.array([box for box, _ in f], dtype=np.float32).reshape(-1, 4), np.array([s for _, s in f], np.float32)
        )
        for f in found
    ]


def voxels(box: Sequence[float], first: int, last: int) -> Box:
    """Box of pixels and slices in the R-A-S volume."""
    x1, y1, x2, y2 = (int(v) for v in box)
    return Box(128 - x2, 128 - y2, 5 * first, 128 - x1, 128 - y1, 5 * last + 5)


def merge(*objects, settings=PLAIN):
    return merge_slice_boxes(scan(*objects), FRAME, SPACING, settings)


def test_two_kidneys_larger_first():
    boxes = merge((range(4, 12), RIGHT, 0.9), (range(5, 12), LEFT, 0.9))
    assert boxes == [voxels(RIGHT, 4, 11), voxels(LEFT, 5, 11)]


def test_largest_extent_over_the_slices_counts():
    wide, high = (18, 62, 44, 80), (22, 55, 38, 90)
    boxes = merge((range(4, 8), wide, 0.9), (range(8, 12), high, 0.8))
    assert boxes == [voxels((18, 55, 44, 90), 4, 11)]


def test_doubtful_boxes_do_not_stretch_a_kidney():
    assert merge((range(4, 12), RIGHT, 0.9), ([6], (10, 50, 60, 95), 0.4)) == [voxels(RIGHT, 4, 11)]


def test_a_gap_of_one_slice_is_closed_one_of_two_is_not():
    assert merge(([4, 5, 7, 8], RIGHT, 0.9)) == [voxels(RIGHT, 4, 8)]
    assert merge(([4, 5, 6, 9, 10], RIGHT, 0.9)) == [voxels(RIGHT, 4, 6)]


def test_isolated_and_weak_detections_are_dropped():
    assert merge(([6], RIGHT, 0.99)) == []
    assert merge((range(4, 6), RIGHT, 0.45)) == []  # two slices, but too little evidence together
    assert merge((range(4, 12), RIGHT, 0.29)) == []  # below the threshold
    assert merge((range(4, 12), RIGHT, 0.35)) == [voxels(RIGHT, 4, 11)]


def test_the_three_times_rule():
    small = (90, 65, 100, 75)
    merged = (20, 50, 75, 90)
    assert merge((range(4, 12), merged, 0.9), (range(5, 8), small, 0.6)) == [voxels(merged, 4, 11)]
    assert len(merge((range(4, 12), merged, 0.9), (range(5, 8), small, 0.96))) == 2  # sure of it
    strict = MergeSettings(margin_mm=0.0, sure_score=1.1)  # the paper's rule without exception
    assert len(merge((range(4, 12), merged, 0.9), (range(5, 8), small, 0.95), settings=strict)) == 1
    assert len(merge((range(4, 12), RIGHT, 0.9), (range(5, 12), LEFT, 0.6), settings=strict)) == 2


def test_a_few_large_boxes_of_the_liver_do_not_come_before_a_kidney():
    liver = (10, 20, 60, 70)
    seen = (range(13, 18), liver, 0.8), (range(4, 12), RIGHT, 0.99), (range(4, 12), LEFT, 0.99)
    assert set(merge(*seen)) == {voxels(RIGHT, 4, 11), voxels(LEFT, 4, 11)}


def test_a_second_component_with_a_third_of_the_evidence_is_no_kidney():
    spleen = (85, 30, 115, 60)  # as large in all as the kidney, in few slices
    assert merge((range(2, 14), RIGHT, 0.95), (range(16, 19), spleen, 0.9)) == [voxels(RIGHT, 2, 13)]


def test_the_second_kidney_is_on_the_other_side():
    spleen = (100, 30, 125, 48)  # larger than the right kidney, but left
    boxes = merge((range(4, 14), LEFT, 0.95), (range(12, 20), spleen, 0.9), (range(5, 10), RIGHT, 0.7))
    assert boxes == [voxels(LEFT, 4, 13), voxels(RIGHT, 5, 9)]


def test_two_kidneys_on_one_side_when_far_apart():
    first, second, near = (3, 60, 21, 84), (44, 60, 62, 84), (30, 60, 50, 84)
    assert len(merge((range(2, 8), first, 0.9), (range(10, 16), second, 0.9))) == 2  # 82 mm
    assert len(merge((range(2, 8), first, 0.9), (range(12, 18), near, 0.9))) == 1  # 56 mm


def test_a_tumor_found_beside_its_kidney_joins_it():
    tumor = (41, 62, 58, 78)  # 2 mm beside
    assert merge((range(4, 12), RIGHT, 0.9), (range(6, 10), tumor, 0.7)) == [voxels((20, 60, 58, 85), 4, 11)]
    far = (54, 62, 62, 78)  # 28 mm beside
    assert merge((range(4, 12), RIGHT, 0.9), (range(6, 10), far, 0.7)) == [voxels(RIGHT, 4, 11)]


def test_touching_boxes_of_two_kidneys_stay_apart():
    a, b = (30, 60, 65, 90), (63, 60, 98, 90)
    assert merge((range(4, 12), a, 0.9), (range(4, 12), b, 0.8)) == [voxels(a, 4, 11), voxels(b, 4, 11)]


def test_nothing_found():
    assert merge() == []


def test_short_scans_need_one_slice():
    frame = AxialFrame((128, 128, 8), (128, 128), ((0, 4), (4, 8)), top=0, left=0, size=128)
    found = [*scan(([0], RIGHT, 0.6))[:1], *scan()[:1]]
    assert merge_slice_boxes(found, frame, SPACING, PLAIN) == [Box(88, 43, 0, 108, 68, 4)]


def test_margin_in_mm_on_every_axis_cut_at_the_scan():
    shape, spacing = (100, 100, 50), (1.0, 2.0, 5.0)
    assert edges_to_box((20.2, 30.0, 10, 40.5, 50.0, 20), shape, spacing, 10.0) == Box(10, 25, 8, 51, 55, 22)
    assert edges_to_box((-5.0, 2.0, 1, 99.0, 99.0, 50), shape, spacing, 10.0) == Box(0, 0, 0, 100, 100, 50)
    assert edges_to_box((120.0, 2.0, 1, 130.0, 9.0, 5), shape, spacing, 0.0) == Box(99, 2, 1, 100, 9, 5)


def test_every_slice_needs_an_entry():
    with pytest.raises(ValueError, match="19 slices"):
        merge_slice_boxes(scan()[:-1], FRAME, SPACING)
