"""Properties of the geometry, on examples that hypothesis draws: what is cut and pasted, resampled, turned."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from nephro_monai.geometry.axial import axial_box_to_volume, axial_to_volume, volume_to_axial
from nephro_monai.geometry.axial_frame import axial_planes, body_frame, crop_to_frame
from nephro_monai.geometry.axial_slices import label_slices, paste_slices
from nephro_monai.geometry.axial_stack import StackGrid, sample_axial_stack, stack_label_map
from nephro_monai.geometry.components import foreground_box
from nephro_monai.geometry.resampling import resample_to_shape, resampled_shape
from nephro_monai.structures import Box, SliceGrid

quick = settings(max_examples=30, deadline=None)
spacings = st.floats(0.5, 4.0)


@st.composite
def volumes(draw: st.DrawFn, low: int = 2, high: int = 24) -> torch.Tensor:
    """A uint8 label map (X, Y, Z) of any shape within bounds, with labels 0, 1 and 2."""
    shape = draw(st.tuples(*[st.integers(low, high)] * 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return torch.from_numpy(rng.integers(0, 3, shape).astype(np.uint8))


@st.composite
def boxes_in(draw: st.DrawFn, shape: tuple[int, ...], least: int = 1) -> Box:
    """A box of at least `least` voxels along each axis."""
    low = [draw(st.integers(0, n - least)) for n in shape]
    high = [draw(st.integers(start + least, n)) for start, n in zip(low, shape, strict=True)]
    return Box(*low, *high)


def one_hot(labels: torch.Tensor) -> torch.Tensor:
    """(K, H, W) labels as (K, 3, H, W) probabilities."""
    return functional.one_hot(labels.long(), 3).permute(0, 3, 1, 2).float()


@quick
@given(volumes())
def test_axial_slices_and_back_is_the_identity(volume):
    assert torch.equal(axial_to_volume(volume_to_axial(volume[None]))[0], volume)


@quick
@given(st.data(), volumes(low=3))
def test_a_box_of_slices_is_the_same_box_of_the_volume(data, volume):
    slices = volume_to_axial(volume[None])[:, 0]
    box = data.draw(boxes_in(slices.shape))  # slices, rows, columns
    part = slices[box.slices]
    there = axial_box_to_volume((box.ymin, box.ymax), (box.zmin, box.zmax), (box.xmin, box.xmax), tuple(volume.shape))
    assert torch.equal(volume_to_axial(volume[there.slices][None])[:, 0], part)


@quick
@given(st.data(), volumes(low=6))
def test_kidney_slices_cut_and_pasted_are_the_label_map(data, volume):
    """At the scan's own spacing nothing is lost: SCNet's way from a box to slices and back.

    Boxes of even width and height, as the slices are: else the middles lie half a voxel apart, and all is interpolated.
    """
    box = data.draw(boxes_in(volume.shape, least=2).filter(lambda b: b.shape[0] % 2 == b.shape[1] % 2 == 0))
    stack = sample_axial_stack(volume[None], (1.0, 1.0, 3.0), box, StackGrid(1.0, 3.0, 8), outside=0)
    labels = stack.slices[:, 0].round()
    assert torch.equal(stack_label_map(one_hot(labels), stack), volume[box.slices])


@quick
@given(volumes(low=8), st.integers(32, 48))
def test_whole_slices_cut_and_pasted_are_the_label_map(volume, size):
    """At the scan's own spacing nothing is lost: the two ENets' way from a scan to slices and back."""
    grid = SliceGrid(3.0, 1.0, size, 3.0)
    planes, ranges = axial_planes(torch.zeros(volume.shape), (1.0, 1.0, 3.0), grid)
    frame = body_frame(planes, ranges, volume.shape, size)
    seen = label_slices(volume, (1.0, 1.0, 3.0), grid, frame)
    pasted = torch.full_like(volume, 9)
    paste_slices(one_hot(seen), frame, (0, 0, 0), pasted)
    assert torch.equal(pasted, volume)


@quick
@given(st.data(), spacings, spacings, spacings)
def test_boxes_survive_the_way_to_the_detectors_slices_and_back(data, x_mm, y_mm, z_mm):
    """A painted box, found in resampled slices, comes back within a pixel and a slice of where it was."""
    volume = torch.zeros(30, 26, 20)
    box = data.draw(boxes_in(volume.shape, least=8))
    volume[box.slices] = 1.0
    voxel_mm, grid = (x_mm, y_mm, z_mm), SliceGrid(4.0, 1.5, 96, 4.0)
    planes, ranges = axial_planes(volume, voxel_mm, grid)
    frame = body_frame(planes, ranges, volume.shape, grid.input_size)
    seen = foreground_box((crop_to_frame(planes, frame) >= 0.5).numpy())  # slices, rows, columns
    found = frame.to_volume((seen.zmin, seen.ymin, seen.zmax, seen.ymax), (seen.xmin, seen.xmax))
    true = (box.xmin, box.ymin, box.zmin, box.xmax, box.ymax, box.zmax)
    sizes = [max(mm, cell) for mm, cell in zip(voxel_mm, (1.5, 1.5, 4.0), strict=True)] * 2
    for edge, wanted, mm, cell in zip(found, true, voxel_mm * 2, sizes, strict=True):
        assert abs(edge - wanted) * mm <= cell + 1e-3


@quick
@given(st.data(), st.tuples(spacings, spacings, spacings), st.tuples(spacings, spacings, spacings))
def test_boxes_keep_their_center_and_extent_when_resampled(data, spacing, target):
    volume = torch.zeros(20, 18, 16)
    box = data.draw(boxes_in(volume.shape, least=6))
    volume[box.slices] = 1.0
    shape = resampled_shape(volume.shape, spacing, target)
    there = resample_to_shape(volume[None, None], shape)
    assert torch.isclose(there.mean(), volume.mean(), rtol=0.25)
    assert float(there.min()) >= 0.0 and float(there.max()) <= 1.0 + 1e-5
    for axis, (old, new) in enumerate(zip(volume.shape, shape, strict=True)):
        low, high = (box.xmin, box.ymin, box.zmin)[axis], (box.xmax, box.ymax, box.zmax)[axis]
        profile = there[0, 0].sum(dim=[a for a in range(3) if a != axis])
        center = float((profile * (torch.arange(new) + 0.5)).sum() / profile.sum()) * old / new
        assert abs(center - (low + high) / 2) <= max(1.0, old / new) * 0.5 + 1e-3


@quick
@given(st.data(), volumes(low=4), st.tuples(*[st.integers(0, 30)] * 3))
def test_a_margin_holds_the_box_and_stays_in_the_scan(data, volume, margin):
    box = data.draw(boxes_in(volume.shape))
    wide = box.expanded(margin, tuple(volume.shape))
    inside = tuple(slice(b.start - w.start, b.stop - w.start) for b, w in zip(box.slices, wide.slices, strict=True))
    assert all(s.start >= 0 for s in inside)
    assert all(s.start >= 0 and s.stop <= n for s, n in zip(wide.slices, volume.shape, strict=True))
    assert torch.equal(volume[wide.slices][inside], volume[box.slices])
