"""Reads training cases and cuts square axial crops at a nominal spacing from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, Orientationd
from torch.nn import functional
from tqdm import tqdm

from nephro_monai.constants import HU_RANGE, SCAN_AXCODES
from nephro_monai.errors import TrainingDataError

__all__ = ["cut_axial_crops", "cut_every_case", "read_volumes"]


def read_volumes(case: dict[str, Any], keys: Sequence[str]) -> tuple[dict[str, torch.Tensor], tuple[float, ...]]:
    """Reads a case's scan and label volumes in R-A-S orientation.

    Args:
        case: From `list_training_cases`.
        keys: Paths to read: "image" becomes float32 HU, all others uint8.

    Returns:
        The (1, X, Y, Z) tensors by key, HU clipped to what a scanner can hold, and the voxel spacing in mm.

    Raises:
        TrainingDataError: If the volumes differ in shape.
    """
    types = tuple(np.float32 if key == "image" else np.uint8 for key in keys)
    read = Compose(
        [
            LoadImaged(list(keys), reader="NibabelReader", dtype=types, image_only=True),
            EnsureChannelFirstd(list(keys), channel_dim="no_channel"),
            Orientationd(list(keys), axcodes=SCAN_AXCODES, labels=None),
        ]
    )
    data = read({key: case[key] for key in keys})
    shapes = {key: tuple(data[key].shape) for key in keys}
    if len(set(shapes.values())) > 1:
        raise TrainingDataError(f"{case['case']}: volumes differ in shape: {shapes}; make the case again.")
    spacing = torch.linalg.norm(data[keys[0]].affine[:3, :3], dim=0)
    volumes = {key: torch.as_tensor(data[key].numpy()) for key in keys}
    if "image" in volumes:
        volumes["image"] = volumes["image"].clamp(*HU_RANGE)
    return volumes, tuple(float(s) for s in spacing)


def cut_every_case(
    cut: Callable[[dict[str, Any]], list[dict[str, Any]]],
    cases: Sequence[dict[str, Any]],
    what: str,
    workers: int = 2,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """The crops of all cases in the order of the cases, cut by a few threads under a progress bar.

    Raises:
        TrainingDataError: If no case gave a crop.
    """
    with ThreadPoolExecutor(max(1, workers)) as pool:
        done = pool.map(cut, cases)
        crops = [crop for some in tqdm(done, f"cutting {what}", len(cases), disable=not progress) for crop in some]
    if cases and not crops:
        raise TrainingDataError(f"None of the {len(cases)} cases gave {what}; check their label maps.")
    return crops


def cut_axial_crops(
    volume: torch.Tensor,
    centers: torch.Tensor,
    spacing_mm: Sequence[float],
    size: int,
    crop_spacing_mm: float = 0.8,
    outside: float = 0.0,
    mode: str = "bilinear",
) -> torch.Tensor:
    """Cuts square axial crops, rows to posterior and columns to the patient's left.

    Args:
        volume: (C, X, Y, Z), R-A-S.
        centers: (N, 3) voxel coordinates x, y (may be fractional) and z (rounded).
        spacing_mm: Of the volume, along x, y (and z).
        size: Rows and columns of a crop.
        crop_spacing_mm: Pixel spacing of a crop.
        outside: Value beyond the volume.
        mode: "bilinear" or "nearest".

    Returns:
        (N, C, size, size) float32.
    """
    depth = volume.shape[3]
    slices = volume[..., centers[:, 2].round().long().clamp(0, depth - 1)].permute(3, 0, 2, 1).float() - outside
    offset = (torch.arange(size, dtype=torch.float32) - (size - 1) / 2) * crop_spacing_mm
    x = centers[:, 0, None].float() - offset / float(spacing_mm[0])
    y = centers[:, 1, None].float() - offset / float(spacing_mm[1])
    grid_x = (2 * x + 1) / slices.shape[3] - 1
    grid_y = (2 * y + 1) / slices.shape[2] - 1
    grid = torch.stack(
        [grid_x[:, None, :].expand(-1, size, -1), grid_y[:, :, None].expand(-1, -1, size)], dim=-1
    )
    return functional.grid_sample(slices, grid, mode=mode, padding_mode="zeros", align_corners=False) + outside
