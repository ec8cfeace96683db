"""Coarse slices and the way back to voxels, checked on all axes."""

from __future__ import annotations

import pytest
import torch

from nephro_monai.geometry.axial_frame import AxialFrame, axial_planes, body_frame, crop_to_frame
from nephro_monai.structures import SliceGrid

SPACING = (1.0, 2.0, 3.0)


def test_planes_show_posterior_down_and_patient_left_right():
    volume = torch.full((20, 12, 8), -1000.0)
    volume[15, 10, 7] = 500.0  # right, anterior, superior
    planes, ranges = axial_planes(volume, SPACING, SliceGrid(3.0, 1.0, 32, 3.0))
    assert planes.shape == (8, 24, 20)
    assert ranges == tuple((k, k + 1) for k in range(8))
    k, row, column = (int(i[0]) for i in torch.where(planes == planes.max()))
    assert (k, column) == (7, 20 - 1 - 15)
    assert row in (2, 3)  # y = 10 of 12 is row 1 of 12, and rows are twice as fine here


def test_thin_slices_are_averaged_and_thick_ones_kept():
    volume = torch.arange(12.0).expand(4, 4, 12)
    planes, ranges = axial_planes(volume, (1.6, 1.6, 2.0), SliceGrid(6.0, 1.6, 4))
    assert ranges == ((0, 3), (3, 6), (6, 9), (9, 12))
    assert torch.allclose(planes[:, 0, 0], torch.tensor([1.0, 4.0, 7.0, 10.0]))
    planes, ranges = axial_planes(volume, (1.6, 1.6, 9.0), SliceGrid(6.0, 1.6, 4))
    assert torch.allclose(planes[:, 0, 0], torch.arange(12.0))


def test_only_the_middle_is_averaged_where_slabs_are_thicker_than_wanted():
    volume = torch.arange(20.0).expand(4, 4, 20)
    planes, ranges = axial_planes(volume, (1.0, 1.0, 1.0), SliceGrid(10.0, 1.0, 4, slice_thickness_mm=4.0))
    assert ranges == ((0, 10), (10, 20))
    assert torch.allclose(planes[:, 0, 0], torch.tensor([4.5, 14.5]))


def test_absurd_hu_do_not_spoil_the_average():
    volume = torch.zeros(4, 4, 2)
    volume[..., 0] = 18326.0
    planes, _ = axial_planes(volume, (1.0, 1.0, 3.0), SliceGrid(6.0, 1.0, 4))
    assert float(planes.max()) == pytest.approx(3071 / 2)


def test_the_scan_is_not_copied_as_float():
    volume = torch.zeros((64, 64, 40), dtype=torch.int16)
    planes, _ = axial_planes(volume, (0.8, 0.8, 1.0), SliceGrid(8.0, 1.6, 32))
    assert planes.shape == (5, 32, 32)
    assert volume.dtype == torch.int16


def test_input_is_centered_on_the_body_and_padded():
    planes = torch.full((2, 20, 40), -1000.0)
    planes[:, 5:11, 28:36] = 40.0  # center: row 8, column 32
    frame = body_frame(planes, ((0, 1), (1, 2)), (40, 20, 2), 16)
    assert (frame.top, frame.left) == (0, 24)
    inside = crop_to_frame(planes, frame, fill=-7.0)
    assert inside.shape == (2, 16, 16)
    assert (inside[:, 5:11, 4:12] == 40.0).all()
    padded = crop_to_frame(planes, body_frame(planes, ((0, 1), (1, 2)), (40, 20, 2), 32), fill=-7.0)
    assert padded.shape == (2, 32, 32)
    assert (padded[:, :8] == -7.0).all()


def test_an_empty_scan_is_centered_on_the_slice():
    frame = body_frame(torch.full((1, 20, 40), -1000.0), ((0, 3),), (40, 20, 3), 10)
    assert (frame.top, frame.left) == (5, 15)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 1.3, 4.0), (2.5, 0.6, 0.5)])
def test_a_block_comes_back_where_it_is(spacing):
    """A box drawn around a block in the slices covers the block in voxels, to within a pixel, on every axis."""
    grid = SliceGrid(5.0, 1.5, 64, 5.0)
    shape = tuple(round(mm / s) for mm, s in zip((90, 84, 60), spacing, strict=True))
    block = [(0.15, 0.4), (0.55, 0.8), (0.3, 0.7)]
    edges = [(round(a * n), round(b * n)) for (a, b), n in zip(block, shape, strict=True)]
    volume = torch.zeros(shape)
    volume[tuple(slice(*e) for e in edges)] = 1.0
    planes, ranges = axial_planes(volume, spacing, grid)
    frame = body_frame(planes, ranges, shape, grid.input_size)
    found = torch.nonzero(crop_to_frame(planes, frame) > 0.5)
    (k0, r0, c0), (k1, r1, c1) = found.min(dim=0).values.tolist(), found.max(dim=0).values.tolist()
    back = frame.to_volume((c0, r0, c1 + 1, r1 + 1), (k0, k1 + 1))
    for axis in range(3):
        pixel = (1.5, 1.5, 5.0)[axis] / spacing[axis]
        assert abs(back[axis] - edges[axis][0]) <= pixel
        assert abs(back[axis + 3] - edges[axis][1]) <= pixel


def test_worked_example_of_the_way_back():
    frame = AxialFrame((100, 80, 30), (40, 50), ((0, 10), (10, 20), (20, 30)), top=-4, left=5, size=32)
    # Columns 10..20 of the input are 15..25 of the slice, twice that in voxels from the patient's right edge.
    assert frame.to_volume((10, 14, 20, 24), (1, 3)) == (50, 40, 10, 70, 60, 30)


@pytest.mark.parametrize("bad", [(0, 1.6, 256), (6.0, -1.0, 256), (6.0, 1.6, 0)])
def test_grids_must_be_positive(bad):
    with pytest.raises(ValueError, match="above 0"):
        SliceGrid(*bad)
