"""Stacks of axial slices around a kidney, cut the same way in training and in use, and the way back to voxels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from nephro_monai.constants import HU_RANGE
from nephro_monai.geometry.resampling import resample_to_shape
from nephro_monai.geometry.tumor_slices import sample_axial_crops
from nephro_monai.structures import Box

__all__ = ["AxialStack", "StackGrid", "sample_axial_stack", "stack_label_map", "window_starts"]

_CHUNK = 16  # slices at a time


@dataclass(frozen=True)
class StackGrid:
    """The pixels and slices that a 2-D network sees.

    Attributes:
        pixel_mm: Pixel size.
        slice_mm: Distance of the slices; thinner native slices are averaged, thicker ones are kept as they are.
        size: Rows and columns of the network's input, 150 in Pan 2019.
    """

    pixel_mm: float = 1.0
    slice_mm: float = 3.0
    size: int = 150

    def __post_init__(self) -> None:
        """Refuses sizes that are not positive.

        Raises:
            ValueError: If one is not above 0.
        """
        if min(self.pixel_mm, self.slice_mm, self.size) <= 0:
            raise ValueError(f"Pixel size, slice distance and size of a stack must be above 0, got {self}.")


@dataclass(frozen=True)
class AxialStack:
    """Square axial slices around a box.

    Attributes:
        slices: (K, C, side, side), inferior first, rows to posterior, columns to the patient's left; the middle of the
            box lies in the middle of the slices.
        box: In the volume; along z the stack covers it, in the plane at least it.
        voxel_mm: Voxel size of the volume along x, y, z.
        pixel_mm: Pixel size of the slices.
    """

    slices: torch.Tensor
    box: Box
    voxel_mm: tuple[float, float, float]
    pixel_mm: float

    @property
    def center_xy(self) -> tuple[float, float]:
        """Middle of the box in voxel coordinates of the volume."""
        return (self.box.xmin + self.box.xmax - 1) / 2, (self.box.ymin + self.box.ymax - 1) / 2

    def native_z(self, index: int) -> int:
        """The native slice in the middle of slice `index`."""
        depth = self.box.shape[2]
        return self.box.zmin + min(depth - 1, int((index + 0.5) * depth / len(self.slices)))


def sample_axial_stack(
    volume: torch.Tensor, voxel_mm: Sequence[float], box: Box, grid: StackGrid, outside: float = HU_RANGE[0]
) -> AxialStack:
    """Slices of a box at the network's spacing, at least `grid.size` wide.

    What lies around the box in the plane is seen too; beyond the volume is `outside`.

    Args:
        volume: (C, X, Y, Z), axes R-A-S, any real type.
        voxel_mm: Voxel size along x, y, z.
        box: In the volume.
        grid: Pixels and slices.
        outside: Value beyond the volume.
    """
    vx, vy, vz = (float(value) for value in voxel_mm)
    side = max(grid.size, *(math.ceil(n * mm / grid.pixel_mm) for n, mm in zip(box.shape[:2], (vx, vy), strict=True)))
    count = max(1, min(box.shape[2], round(box.shape[2] * vz / grid.slice_mm)))
    reach = [math.ceil(side * grid.pixel_mm / 2 / mm) + 3 for mm in (vx, vy)]
    low = [max(0, start - reach[k]) for k, start in enumerate((box.xmin, box.ymin))]
    high = [min(volume.shape[k + 1], stop + reach[k]) for k, stop in enumerate((box.xmax, box.ymax))]
    near = volume[:, low[0] : high[0], low[1] : high[1], box.zmin : box.zmax].float()
    slabs = resample_to_shape(near[None], (*near.shape[1:3], count))[0]
    stack = AxialStack(torch.empty(0), box, (vx, vy, vz), grid.pixel_mm)
    x, y = stack.center_xy
    centers = torch.tensor([(x - low[0], y - low[1], k) for k in range(count)], dtype=torch.float64)
    parts = [
        sample_axial_crops(slabs, some, (vx, vy), side, grid.pixel_mm, outside).cpu() for some in centers.split(_CHUNK)
    ]
    return AxialStack(torch.cat(parts), box, stack.voxel_mm, grid.pixel_mm)


def stack_label_map(probabilities: torch.Tensor, stack: AxialStack) -> torch.Tensor:
    """Most probable class of the box's own voxels, a few slices at a time.

    Args:
        probabilities: (K, classes, side, side) of the stack's slices.
        stack: Where they lie.

    Returns:
        uint8 of the box's shape, on the CPU.
    """
    width, height, depth = stack.box.shape
    count, side = len(probabilities), probabilities.shape[-1]
    device = probabilities.device
    axes = []
    for start, length, middle, mm in zip(
        (stack.box.xmin, stack.box.ymin), (width, height), stack.center_xy, stack.voxel_mm, strict=False
    ):
        voxels = torch.arange(length, dtype=torch.float64) + start
        axes.append((2 * (middle - voxels) * mm / (stack.pixel_mm * side)).float().to(device))
    x, y = axes
    grid = torch.stack([x[:, None].expand(width, height), y[None, :].expand(width, height)], dim=-1)
    slices = ((torch.arange(depth) + 0.5) * (count / depth) - 0.5).clamp(0, count - 1)
    label_map = torch.empty(stack.box.shape, dtype=torch.uint8)
    for part in torch.arange(depth).split(_CHUNK):
        below = slices[part].floor().long().clamp(max=max(0, count - 2))
        weight = (slices[part] - below).to(device)[:, None, None, None]
        above = (below + 1).clamp(max=count - 1)
        wanted = torch.lerp(probabilities[below].float(), probabilities[above].float(), weight)
        native = functional.grid_sample(wanted, grid.expand(len(part), -1, -1, -1), align_corners=False)
        label_map[:, :, part] = native.argmax(1).permute(1, 2, 0).to(torch.uint8).cpu()
    return label_map


def window_starts(length: int, size: int, overlap: float = 0.25) -> list[int]:
    """First pixels of windows of `size` that cover `length` pixels, evenly spread; one where it is no longer.

    Args:
        length: To cover.
        size: Of a window.
        overlap: Least share that neighbors have in common.
    """
    free = max(0, length - size)
    count = 1 + math.ceil(free / (size * (1 - overlap)))
    return [round(free * k / (count - 1)) for k in range(count)] if count > 1 else [0]
