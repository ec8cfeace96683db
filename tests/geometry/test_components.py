"""Connected components against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from nephro_monai.geometry import find_components, foreground_box, keep_largest_component, largest_components
from nephro_monai.structures import Box


@pytest.fixture
def speckle():
    return np.random.default_rng(8).random((20, 24, 18)) > 0.8


@pytest.mark.parametrize(("connectivity", "structure"), [(1, None), (3, np.ones((3, 3, 3)))])
def test_components_are_scipys_by_falling_size(speckle, connectivity, structure):
    reference, count = ndimage.label(speckle, structure)
    sizes = np.sort(np.bincount(reference.ravel())[1:])[::-1]
    found = find_components(speckle, connectivity=connectivity)
    assert found.sizes == tuple(sizes)
    assert len(found.boxes) == count
    for index in range(1, min(count, 30) + 1):
        box = found.boxes[index - 1]
        mask = found.mask(index)
        assert int(mask.sum()) == sizes[index - 1]
        assert len(np.unique(reference[box.slices][mask])) == 1
        assert foreground_box(mask).shape == box.shape


def test_small_ones_are_dropped_and_ties_keep_their_order():
    mask = np.zeros((10, 10, 10), np.uint8)
    mask[1:3, 1:3, 1] = 2
    mask[5:7, 5:7, 5] = 1
    mask[9, 9, 9] = 7
    found = find_components(mask, min_voxels=2)
    assert found.sizes == (4, 4)
    assert found.boxes == (Box(1, 1, 1, 3, 3, 2), Box(5, 5, 5, 7, 7, 6))
    assert found.box == Box(1, 1, 1, 10, 10, 10)
    assert found.shape == (10, 10, 10)
    assert find_components(mask, min_voxels=5) is None


def test_nothing_gives_nothing():
    empty = np.zeros((5, 5, 5), bool)
    assert foreground_box(empty) is None
    assert find_components(empty) is None
    assert not largest_components(empty).any()
    assert not keep_largest_component(empty.astype(np.uint8)).any()
    with pytest.raises(ValueError, match=r"\(X, Y, Z\)"):
        foreground_box(np.zeros((5, 5)))


def test_the_largest_region_keeps_its_labels():
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[1:6, 1:6, 1:6] = 1
    labels[4:8, 4:8, 4:8] = 2  # tumor on the kidney
    labels[10:, 10:, 10:] = 1
    kept = keep_largest_component(labels)
    assert kept.dtype == np.uint8
    assert not kept[10:].any()
    np.testing.assert_array_equal(kept[:9], labels[:9])
    assert int(largest_components(labels, count=2).sum()) == int((labels > 0).sum())
