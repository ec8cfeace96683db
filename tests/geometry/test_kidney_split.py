"""Left and right kidney of a mask."""

from __future__ import annotations

import numpy as np

from nephro_monai.geometry.kidney_split import split_kidneys

SPACING = (5.0, 2.0, 2.0)  # 20 mm3 per voxel: 1000 voxels = 20 ml


def empty() -> np.ndarray:
    return np.zeros((20, 100, 150), dtype=bool)


def test_no_kidney():
    assert not split_kidneys(empty(), SPACING).any()


def test_two_kidneys_with_a_separate_tumor():
    mask = empty()
    mask[2:12, 40:55, 30:45] = True
    mask[2:12, 40:55, 100:115] = True
    mask[5:8, 30:38, 90:98] = True  # a tumor beside the left kidney
    sides = split_kidneys(mask, SPACING)
    assert (sides[mask] > 0).all()
    assert set(np.unique(sides[..., :50])) == {0, 1}
    assert (sides[5:8, 30:38, 90:98] == 2).all()
    assert set(np.unique(sides[..., 80:])) == {0, 2}


def test_single_kidney_keeps_its_side():
    right, left = empty(), empty()
    right[2:12, 40:55, 30:45] = True
    left[2:12, 40:55, 100:115] = True
    assert set(np.unique(split_kidneys(right, SPACING))) == {0, 1}
    assert set(np.unique(split_kidneys(left, SPACING))) == {0, 2}


def test_touching_kidneys_are_cut_at_the_midline():
    mask = empty()
    mask[2:12, 40:55, 40:112] = True
    sides = split_kidneys(mask, SPACING)
    assert (sides[2:12, 40:55, 40:75] == 1).all()
    assert (sides[2:12, 40:55, 75:112] == 2).all()


def test_a_tumor_across_the_midline_stays_with_its_kidney():
    mask = empty()
    mask[2:18, 20:60, 20:85] = True  # huge, mostly right
    mask[2:12, 40:55, 110:125] = True
    sides = split_kidneys(mask, SPACING)
    assert (sides[2:18, 20:60, 20:85] == 1).all()
    assert (sides[2:12, 40:55, 110:125] == 2).all()


def test_specks_do_not_count_as_the_second_kidney():
    mask = empty()
    mask[2:12, 40:55, 30:45] = True
    mask[3, 40, 110] = True
    assert set(np.unique(split_kidneys(mask, SPACING))) == {0, 1}


def test_two_kidneys_on_the_same_side():
    mask = empty()
    mask[2:12, 40:55, 5:20] = True
    mask[2:12, 40:55, 55:70] = True  # 100 mm apart, both right of the midline
    sides = split_kidneys(mask, SPACING)
    assert (sides[2:12, 40:55, 5:20] == 1).all()
    assert (sides[2:12, 40:55, 55:70] == 2).all()
