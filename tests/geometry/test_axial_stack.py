"""Slices around a box and the way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nephro_monai.geometry.axial import volume_to_axial
from nephro_monai.geometry.axial_stack import (
    AxialStack,
    StackGrid,
    sample_axial_stack,
    stack_label_map,
    window_starts,
)
from nephro_monai.structures import Box


def test_at_the_native_spacing_the_slices_are_the_volumes():
    volume = torch.arange(2 * 24 * 24 * 6, dtype=torch.float32).reshape(2, 24, 24, 6)
    stack = sample_axial_stack(volume, (1.0, 1.0, 3.0), Box(6, 4, 1, 16, 14, 5), StackGrid(size=10))
    expected = volume_to_axial(volume[:, 6:16, 4:14, 1:5])
    torch.testing.assert_close(stack.slices, expected, atol=0.02, rtol=0)
    assert [stack.native_z(k) for k in range(4)] == [1, 2, 3, 4]


def test_surroundings_are_seen_and_air_lies_beyond():
    volume = torch.zeros(1, 20, 20, 3)
    stack = sample_axial_stack(volume, (1.0, 1.0, 5.0), Box(0, 6, 0, 8, 14, 3), StackGrid(size=20))
    assert stack.slices.shape == (3, 1, 20, 20)
    # The box's middle is x = 3.5: six columns beyond x = 0, on the patient's left side of the slice.
    expected = torch.where(torch.arange(20) < 14, 0.0, -1024.0).expand(3, 1, 20, 20)
    torch.testing.assert_close(stack.slices, expected, atol=0.01, rtol=0)


def test_thin_slices_are_averaged_and_thick_ones_kept():
    volume = torch.arange(12.0).expand(1, 8, 8, 12)
    box = Box(0, 0, 0, 8, 8, 12)
    thin = sample_axial_stack(volume, (1, 1, 1.0), box, StackGrid(size=4))
    torch.testing.assert_close(thin.slices[:, 0, 2, 2], torch.tensor([1.0, 4.0, 7.0, 10.0]))
    assert [thin.native_z(k) for k in range(4)] == [1, 4, 7, 10]
    assert len(sample_axial_stack(volume, (1, 1, 5.0), box, StackGrid(size=4)).slices) == 12


def test_a_large_box_makes_larger_slices():
    stack = sample_axial_stack(torch.zeros(1, 60, 20, 2), (1.5, 1.5, 3), Box(5, 2, 0, 55, 18, 2), StackGrid(size=40))
    assert stack.slices.shape[-1] == 75


@pytest.mark.parametrize("voxel_mm", [(1.0, 1.0, 3.0), (0.8, 0.8, 1.0), (1.5, 1.3, 5.0)])
def test_there_and_back_again(voxel_mm):
    x, y, z = np.meshgrid(np.arange(60), np.arange(64), np.arange(12), indexing="ij")
    inside = ((x - 28) / 14) ** 2 + ((y - 30) / 10) ** 2 + ((z - 5) / 6) ** 2 < 1
    labels = torch.from_numpy(inside.astype(np.uint8) + (inside & (x > 30)).astype(np.uint8))
    classes = torch.nn.functional.one_hot(labels.long(), 3).permute(3, 0, 1, 2).float()
    box = Box(10, 15, 0, 48, 46, 12)
    stack = sample_axial_stack(classes, voxel_mm, box, StackGrid(size=50), outside=0.0)
    found = stack_label_map(stack.slices, stack)
    assert found.shape == box.shape and found.dtype == torch.uint8
    truth = labels[box.slices]
    for value in (1, 2):
        a, b = found == value, truth == value
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.93, value


def test_there_and_back_on_the_same_grid_is_the_identity():
    labels = torch.randint(0, 3, (30, 26, 5), generator=torch.Generator().manual_seed(0))
    classes = torch.nn.functional.one_hot(labels, 3).permute(3, 0, 1, 2).float()
    box = Box(3, 2, 1, 23, 22, 5)
    stack = sample_axial_stack(classes, (1.0, 1.0, 3.0), box, StackGrid(size=20), outside=0.0)
    assert torch.equal(stack_label_map(stack.slices, stack).long(), labels[box.slices])


@pytest.mark.parametrize(("length", "expected"), [(150, [0]), (90, [0]), (151, [0, 1]), (400, [0, 83, 167, 250])])
def test_windows_cover_a_stack(length, expected):
    assert window_starts(length, 150) == expected


def test_grids_are_checked():
    with pytest.raises(ValueError, match="above 0"):
        StackGrid(pixel_mm=0)
    assert AxialStack(torch.zeros(1), Box(0, 0, 0, 3, 4, 5), (1, 1, 1), 1.0).center_xy == (1.0, 1.5)
