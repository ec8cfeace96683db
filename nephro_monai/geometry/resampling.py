"""Axis-aligned resampling of crops and slices on the device they are on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

__all__ = ["resample_to_shape", "resampled_shape", "resampled_slices"]

_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


def resampled_shape(
    shape: Sequence[int], spacing_mm: Sequence[float], target_spacing_mm: Sequence[float]
) -> tuple[int, ...]:
    """Shape that covers the same extent in mm at another spacing, at least one voxel along each axis."""
    return tuple(max(1, round(n * s / t)) for n, s, t in zip(shape, spacing_mm, target_spacing_mm, strict=True))


def resampled_slices(part: Sequence[slice], shape: Sequence[int], target_shape: Sequence[int]) -> tuple[slice, ...]:
    """The smallest part of a resampled volume that covers a part of the volume, at least one voxel along each axis."""
    return tuple(
        slice(own.start * new // old, max(own.start * new // old + 1, -(-own.stop * new // old)))
        for own, old, new in zip(part, shape, target_shape, strict=True)
    )


def resample_to_shape(volume: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Resamples over the same field of view: averages along axes that shrink, interpolates along those that grow.

    Averaging first avoids aliasing (a thin slice is not skipped), as a scanner's thicker slice would.

    Args:
        volume: (B, C, *spatial) floating-point tensor, spatial of length 1 to 3.
        shape: Target spatial shape.

    Returns:
        (B, C, *shape) tensor of the same dtype.

    Raises:
        ValueError: If the number of spatial axes differs from `shape`.
    """
    spatial = tuple(volume.shape[2:])
    target = tuple(int(n) for n in shape)
    if len(spatial) != len(target) or len(target) not in _MODES:
        raise ValueError(f"Target shape {target} does not fit a volume of spatial shape {spatial}.")
    shrunk = tuple(min(n, t) for n, t in zip(spatial, target, strict=True))
    if shrunk != spatial:
        volume = functional.interpolate(volume, size=shrunk, mode="area")
    if target != shrunk:
        volume = functional.interpolate(volume, size=target, mode=_MODES[len(target)], align_corners=False)
    return volume
