"""The stack of axial slices a 2-D detector looks at, and the way back to voxels of the scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from nephro_monai.constants import HU_RANGE
from nephro_monai.geometry.axial import volume_to_axial
from nephro_monai.structures import SliceGrid

__all__ = ["AxialFrame", "axial_planes", "body_frame", "crop_to_frame"]

_BODY_HU = -300.0


@dataclass(frozen=True)
class AxialFrame:
    """Where the detector's pixels and slices lie in the R-A-S scan.

    Attributes:
        volume_shape: (X, Y, Z) of the scan.
        plane_shape: Rows and columns of a whole resampled slice.
        slice_ranges: Half-open native z range of each slice, from inferior to superior.
        top: Row of the whole slice where the input begins (negative where it is padded).
        left: Column of the whole slice where the input begins.
        size: Rows and columns of the input.
    """

    volume_shape: tuple[int, int, int]
    plane_shape: tuple[int, int]
    slice_ranges: tuple[tuple[int, int], ...]
    top: int
    left: int
    size: int

    def to_volume(self, box: Sequence[float], slices: tuple[int, int]) -> tuple[float, ...]:
        """Edges of a pixel box in continuous voxel coordinates (voxel i covers i..i+1).

        Args:
            box: x1, y1, x2, y2 in input pixels (columns, rows).
            slices: Half-open range of slices.

        Returns:
            xmin, ymin, zmin, xmax, ymax, zmax of the R-A-S scan; may reach beyond it.
        """
        x_scale = self.volume_shape[0] / self.plane_shape[1]
        y_scale = self.volume_shape[1] / self.plane_shape[0]
        columns = [(value + self.left) * x_scale for value in (box[0], box[2])]
        rows = [(value + self.top) * y_scale for value in (box[1], box[3])]
        zmin, zmax = self.slice_ranges[slices[0]][0], self.slice_ranges[slices[1] - 1][1]
        x_size, y_size = self.volume_shape[:2]
        return x_size - columns[1], y_size - rows[1], zmin, x_size - columns[0], y_size - rows[0], zmax


def axial_planes(
    volume: torch.Tensor, spacing_mm: Sequence[float], grid: SliceGrid
) -> tuple[torch.Tensor, tuple[tuple[int, int], ...]]:
    """Whole axial slices on the detector's grid, one slab of the scan at a time (the scan is never copied).

    Native slices are averaged as a scanner's thicker slice would be; in the plane a triangle filter
    of the pixel's size avoids aliasing.

    Args:
        volume: (X, Y, Z) in R-A-S order, HU or a mask, any real dtype.
        spacing_mm: Voxel size along X, Y and Z.
        grid: Slice distance and pixel size.

    Returns:
        (K, rows, columns) float32, and the half-open z range of each slice.
    """
    x_size, y_size, z_size = volume.shape
    count = min(z_size, max(1, round(z_size * spacing_mm[2] / grid.slice_spacing_mm)))
    rows = max(1, round(y_size * spacing_mm[1] / grid.pixel_spacing_mm))
    columns = max(1, round(x_size * spacing_mm[0] / grid.pixel_spacing_mm))
    ranges = tuple((k * z_size // count, (k + 1) * z_size // count) for k in range(count))
    planes = torch.empty((count, rows, columns), dtype=torch.float32, device=volume.device)
    for index, (start, stop) in enumerate(ranges):
        start, stop = _averaged(start, stop, spacing_mm[2], grid)
        slab = volume[..., start:stop].float().clamp(*HU_RANGE).mean(dim=-1)
        planes[index] = functional.interpolate(
            volume_to_axial(slab[None, ..., None]),
            size=(rows, columns),
            mode="bilinear",
            antialias=True,
            align_corners=False,
        )[0, 0]
    return planes, ranges


def body_frame(
    planes: torch.Tensor, slice_ranges: tuple[tuple[int, int], ...], shape: Sequence[int], size: int
) -> AxialFrame:
    """Centers the square input on the body (centroid of what is denser than -300 HU), else on the slice.

    Args:
        planes: (K, rows, columns) in HU, from `axial_planes`.
        slice_ranges: From `axial_planes`.
        shape: (X, Y, Z) of the scan.
        size: Rows and columns of the input.
    """
    rows, columns = planes.shape[1:]
    body = (planes > _BODY_HU).sum(dim=0, dtype=torch.float32)
    total = float(body.sum())
    row, column = rows / 2, columns / 2
    if total > 0:
        row = float((body.sum(dim=1) * (torch.arange(rows, device=body.device) + 0.5)).sum()) / total
        column = float((body.sum(dim=0) * (torch.arange(columns, device=body.device) + 0.5)).sum()) / total
    return AxialFrame(
        volume_shape=(int(shape[0]), int(shape[1]), int(shape[2])),
        plane_shape=(int(rows), int(columns)),
        slice_ranges=slice_ranges,
        top=round(row - size / 2),
        left=round(column - size / 2),
        size=size,
    )


def crop_to_frame(planes: torch.Tensor, frame: AxialFrame, fill: float = 0.0) -> torch.Tensor:
    """Cuts or pads whole slices to the frame's input.

    Args:
        planes: (K, rows, columns).
        frame: From `body_frame`.
        fill: Value outside the slice.

    Returns:
        (K, size, size), a view where nothing is padded.
    """
    rows, columns = frame.plane_shape
    bottom, right = frame.top + frame.size - rows, frame.left + frame.size - columns
    return functional.pad(planes, (-frame.left, right, -frame.top, bottom), value=fill)


def _averaged(start: int, stop: int, spacing_mm: float, grid: SliceGrid) -> tuple[int, int]:
    """Native slices that are averaged: the whole slab, or its middle where the slab is thicker than wanted."""
    wanted = max(1, round(grid.slice_thickness_mm / spacing_mm))
    if grid.slice_thickness_mm >= grid.slice_spacing_mm or wanted >= stop - start:
        return start, stop
    first = start + (stop - start - wanted) // 2
    return first, first + wanted
