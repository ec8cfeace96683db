"""Between R-A-S volumes and axial slices as 2-D networks and readers expect them."""

from __future__ import annotations

import torch

from nephro_monai.structures import Box

__all__ = ["axial_box_to_volume", "axial_to_volume", "volume_to_axial"]


def volume_to_axial(volume: torch.Tensor) -> torch.Tensor:
    """R-A-S volume to slices with rows to posterior and columns to the patient's left.

    Args:
        volume: (C, X, Y, Z), axes to right, anterior, superior.

    Returns:
        (Z, C, Y, X): row r is y = Y - 1 - r, column c is x = X - 1 - c.
    """
    return volume.permute(3, 0, 2, 1).flip(2, 3)


def axial_to_volume(slices: torch.Tensor) -> torch.Tensor:
    """Inverse of `volume_to_axial`: (Z, C, rows, columns) to (C, X, Y, Z)."""
    return slices.flip(2, 3).permute(1, 3, 2, 0)


def axial_box_to_volume(
    rows: tuple[int, int], columns: tuple[int, int], zs: tuple[int, int], shape: tuple[int, int, int]
) -> Box:
    """Half-open row, column and slice ranges of axial slices as a box of the R-A-S volume of `shape`."""
    return Box(
        xmin=shape[0] - columns[1], xmax=shape[0] - columns[0],
        ymin=shape[1] - rows[1], ymax=shape[1] - rows[0],
        zmin=zs[0], zmax=zs[1],
    )  # fmt: skip
