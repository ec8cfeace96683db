"""Between a scan and the axial slices on one grid that 2-D segmentation networks take (Dahiya 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from nephro_monai.constants import HU_RANGE, LABEL_NAMES
from nephro_monai.geometry.axial_frame import AxialFrame, axial_planes, body_frame, crop_to_frame
from nephro_monai.structures import SliceGrid

__all__ = ["kidney_windows", "label_slices", "paste_slices", "scan_slices"]

_CHUNK_VALUES = 16_000_000  # class values held at the native spacing at a time (64 MB)
_WINDOW_MARGIN = 2


def scan_slices(volume: torch.Tensor, spacing_mm: Sequence[float], grid: SliceGrid) -> tuple[torch.Tensor, AxialFrame]:
    """Brings a scan to axial slices of one size and one pixel size.

    The slice is centered on the body, cut where it is larger than the grid (512 x 796 pixels, arms beside the body)
    and padded with air where it is smaller, so that no scan is squeezed and each pixel stands for about the same place
    in every body. HU beyond what a scanner can hold are clipped before anything is averaged.

    Args:
        volume: (X, Y, Z) in HU, R-A-S.
        spacing_mm: Voxel size along X, Y and Z.
        grid: Slice distance, pixel size and size.

    Returns:
        float32 (K, size, size) in HU, rows to posterior and columns to the patient's left, from inferior to superior;
        and where these slices lie in the scan.
    """
    planes, ranges = axial_planes(volume, spacing_mm, grid)
    frame = body_frame(planes, ranges, volume.shape, grid.input_size)
    return crop_to_frame(planes, frame, fill=HU_RANGE[0]), frame


def label_slices(label: torch.Tensor, spacing_mm: Sequence[float], grid: SliceGrid, frame: AxialFrame) -> torch.Tensor:
    """A label map on the slices of its scan: each pixel has the label that fills most of it.

    Args:
        label: (X, Y, Z) with 0/1/2.
        spacing_mm: Voxel size along X, Y and Z.
        grid: As for the scan.
        frame: The scan's, from `scan_slices`.

    Returns:
        uint8 (K, size, size).
    """
    best = torch.zeros((len(frame.slice_ranges), grid.input_size, grid.input_size), dtype=torch.uint8)
    most = torch.zeros(best.shape)
    others = torch.ones(best.shape)  # what is left for the background
    for value in (v for v in LABEL_NAMES if v != 0):
        share = crop_to_frame(axial_planes(label == value, spacing_mm, grid)[0], frame)
        best[share > most] = value
        most = torch.maximum(most, share)
        others -= share
    best[others >= most] = 0
    return best


def kidney_windows(sides: np.ndarray, size: int) -> list[tuple[int, int]]:
    """Where square crops of a slice are cut around the kidneys (Dahiya 2019, section 4).

    One crop around the centroid of all kidney and tumor where it holds both kidneys; else one crop per kidney, around
    its own centroid, or around the middle of its bounding box where the centroid's crop would cut something off.
    Crops are moved so that they lie inside the slice. What is larger than a crop in itself is cut off.

    Args:
        sides: (rows, columns) kidney numbers: 0 background, 1 and 2 the kidneys with their tumors.
        size: Rows and columns of a crop.

    Returns:
        Top row and left column of no crop (no kidney), one or two.

    Raises:
        ValueError: If the slice is smaller than a crop.
    """
    if min(sides.shape) < size:
        raise ValueError(f"Crops of {size} pixels do not fit into slices of {sides.shape[0]} x {sides.shape[1]}.")
    both = np.argwhere(sides > 0)
    if not len(both):
        return []
    window = _window_at(both.mean(axis=0), size, sides.shape)
    if _holds(window, both, size):
        return [window]
    return [_kidney_window(np.argwhere(sides == number), size, sides.shape) for number in np.unique(sides[sides > 0])]


def paste_slices(
    probabilities: torch.Tensor, frame: AxialFrame, origin: tuple[int, int, int], label_map: torch.Tensor
) -> None:
    """Writes the most probable class of a part of the slices into a scan's label map, a few native slices at a time.

    Args:
        probabilities: (K, C, rows, columns) of consecutive slices.
        frame: Where the slices lie, from `scan_slices`.
        origin: First slice, top row and left column of the part.
        label_map: uint8 (X, Y, Z) of the scan; the part's voxels are overwritten in place.
    """
    count, classes, rows, columns = probabilities.shape
    first, top, left = origin
    edges = frame.to_volume((left, top, left + columns, top + rows), (first, first + count))
    low = [max(0, int(np.ceil(edge - 0.5))) for edge in edges[:3]]
    high = [min(n, int(np.ceil(edge - 0.5))) for edge, n in zip(edges[3:], frame.volume_shape, strict=True)]
    if any(a >= b for a, b in zip(low, high, strict=True)):
        return
    at = _native_in_part(frame, (top, left), (rows, columns), (low[:2], high[:2])).to(probabilities.device)
    x_size, y_size = at.shape[:2]
    depth = len(frame.slice_ranges) / frame.volume_shape[2]
    step = max(1, _CHUNK_VALUES // (classes * x_size * y_size))
    for start in range(low[2], high[2], step):
        stop = min(start + step, high[2])
        z = ((torch.arange(start, stop) + 0.5) * depth - 0.5 - first).clamp(0, count - 1)
        below = z.floor().long()
        weight = (z - below).to(probabilities.device, torch.float32)[:, None, None, None]
        lower, upper = probabilities[below].float(), probabilities[(below + 1).clamp(max=count - 1)].float()
        native = functional.grid_sample(
            torch.lerp(lower, upper, weight), at.expand(len(z), -1, -1, -1), padding_mode="border", align_corners=False
        )
        found = native.argmax(1).permute(1, 2, 0).to(torch.uint8).cpu()
        label_map[low[0] : high[0], low[1] : high[1], start:stop] = found


def _native_in_part(
    frame: AxialFrame, corner: tuple[int, int], shape: tuple[int, int], bounds: tuple[list[int], list[int]]
) -> torch.Tensor:
    """Where native voxel centers lie in a part of the slices, (X, Y, 2) columns and rows in -1..1 (`grid_sample`)."""
    places = []
    # x runs against the columns, y against the rows.
    for axis, begin, extent in ((0, frame.left + corner[1], shape[1]), (1, frame.top + corner[0], shape[0])):
        plane = frame.plane_shape[1 - axis]
        centers = torch.arange(bounds[0][axis], bounds[1][axis], dtype=torch.float64) + 0.5
        pixels = (frame.volume_shape[axis] - centers) * (plane / frame.volume_shape[axis]) - begin
        places.append((2 * pixels / extent - 1).float())
    columns, rows = torch.meshgrid(*places, indexing="ij")
    return torch.stack((columns, rows), dim=-1)


def _window_at(center: np.ndarray, size: int, shape: Sequence[int]) -> tuple[int, int]:
    """Corner of the crop around a pixel position, moved into the slice."""
    top, left = (
        int(np.clip(round(float(c) + 0.5 - size / 2), 0, n - size)) for c, n in zip(center, shape, strict=True)
    )
    return top, left


def _holds(window: tuple[int, int], pixels: np.ndarray, size: int) -> bool:
    """Whether all pixels lie in the crop, with a small margin."""
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    corner = np.asarray(window)
    return bool((low >= corner + _WINDOW_MARGIN).all() and (high < corner + size - _WINDOW_MARGIN).all())


def _kidney_window(pixels: np.ndarray, size: int, shape: Sequence[int]) -> tuple[int, int]:
    window = _window_at(pixels.mean(axis=0), size, shape)
    if _holds(window, pixels, size):
        return window
    return _window_at((pixels.min(axis=0) + pixels.max(axis=0)) / 2, size, shape)
