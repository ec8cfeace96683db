"""Random fields and shapes on batches of patches, in torch: the same code on a processor and on a GPU."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn import functional

__all__ = [
    "Spacing",
    "coordinates_mm",
    "log_uniform",
    "smooth_field",
    "smooth_fields",
    "step_between",
    "uniform",
]

Spacing = tuple[float, float, float]

_MARGIN = 4  # two box filters of three voxels take two voxels from either end


def uniform(shape: Sequence[int], low: float, high: float) -> torch.Tensor:
    """Uniform numbers between two bounds, from torch's generator of the processor (float32)."""
    return low + (high - low) * torch.rand(tuple(shape))


def log_uniform(shape: Sequence[int], low: float, high: float) -> torch.Tensor:
    """Numbers between two positive bounds whose logarithm is uniform, from torch's generator of the processor."""
    return torch.exp(uniform(shape, math.log(low), math.log(high)))


def smooth_fields(
    batch: int, shape: Sequence[int], spacing: Spacing, scale_mm: float, device: torch.device
) -> torch.Tensor:
    """Smooth Gaussian random fields of about unit variance whose features are `scale_mm` wide.

    As `canvas.smooth_noise`: white noise on a grid of half the scale, smoothed there, then interpolated. The white
    noise comes from the generator of the device.

    Args:
        batch: How many.
        shape: X, Y, Z of each.
        spacing: Of the voxels, in mm.
        scale_mm: Width of the features.
        device: Where they are made.

    Returns:
        (batch, X, Y, Z) float32.
    """
    coarse = [max(3, math.ceil(n * s / (0.5 * scale_mm)) + 3) for n, s in zip(shape, spacing, strict=True)]
    white = torch.randn((batch, 1, *(n + _MARGIN for n in coarse)), device=device)
    field = functional.avg_pool3d(functional.avg_pool3d(white, 3, stride=1), 3, stride=1)
    field = field / field.std(dim=(1, 2, 3, 4), keepdim=True).clamp_min(1e-6)
    return functional.interpolate(field, size=tuple(shape), mode="trilinear", align_corners=True)[:, 0]


def smooth_field(shape: Sequence[int], spacing: Spacing, scale_mm: float, device: torch.device) -> torch.Tensor:
    """One of `smooth_fields`, (X, Y, Z)."""
    return smooth_fields(1, shape, spacing, scale_mm, device)[0]


def coordinates_mm(
    box: tuple[slice, slice, slice], center: Sequence[float], spacing: Spacing, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Broadcastable x, y, z in mm of the voxels of a box, relative to a center in voxels."""
    x, y, z = (
        (torch.arange(b.start, b.stop, dtype=torch.float32, device=device) - c) * s
        for b, c, s in zip(box, center, spacing, strict=True)
    )
    return x[:, None, None], y[None, :, None], z[None, None, :]


def step_between(score: torch.Tensor, threshold: torch.Tensor | float, width: float) -> torch.Tensor:
    """0 well below a threshold, 1 well above, linear over `width` around it."""
    return ((score - threshold) / width + 0.5).clamp(0.0, 1.0)
