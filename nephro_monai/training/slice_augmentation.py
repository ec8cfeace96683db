"""Random variants of axial slices in HU, a batch at a time on the device of the batch."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

__all__ = ["SliceAugmentation", "center_crop"]


def center_crop(slices: torch.Tensor, size: int) -> torch.Tensor:
    """The middle `size` x `size` pixels of (B, C, H, W)."""
    top, left = (slices.shape[2] - size) // 2, (slices.shape[3] - size) // 2
    return slices[:, :, top : top + size, left : left + size]


class SliceAugmentation(nn.Module):
    """Shift, rotation, scale and mirror; then sharpness, gain, offset and noise.

    Shifts stand for wrong centers of predicted outlines and for outlines that hold part of a tumor. Sharpness, gain,
    offset and noise stand for kernels, scanners and doses; HU stay HU up to a few percent.

    Draws from torch's global generator, which `callbacks.ReproducibleSteps` seeds for every step.

    Args:
        size: Rows and columns of the result, at the pixel spacing of the input.
        shift: Largest shift in pixels, along rows and columns.
        rotation_degrees: Largest rotation.
        scale: Smallest and largest magnification.
        sharpness: Smallest (blur) and largest (unsharp mask) weight of the detail that is added.
        gain_offset: Largest relative gain and largest offset in HU.
        noise_hu: Smallest and largest standard deviation of the noise in HU, drawn log-uniformly; white to correlated.
    """

    def __init__(
        self,
        size: int = 130,
        shift: float = 12.0,
        rotation_degrees: float = 15.0,
        scale: tuple[float, float] = (0.85, 1.18),
        sharpness: tuple[float, float] = (-0.8, 0.8),
        gain_offset: tuple[float, float] = (0.04, 6.0),
        noise_hu: tuple[float, float] = (0.5, 22.0),
    ) -> None:
        super().__init__()
        self.size = size
        self.shift = shift
        self.rotation_degrees = rotation_degrees
        self.scale = scale
        self.sharpness = sharpness
        self.gain_offset = gain_offset
        self.noise_hu = noise_hu

    @torch.no_grad()
    def forward(self, hu: torch.Tensor, maps: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Draws one variant of each slice.

        Args:
            hu: (B, 1, H, W) float HU.
            maps: (B, K, H, W) float maps that follow the same geometry, or None.

        Returns:
            (B, 1, size, size) HU and (B, K, size, size) maps.
        """
        stacked = hu if maps is None else torch.cat([hu, maps], dim=1)
        grid = self._grid(len(hu), hu.shape[2], hu.shape[3], hu.device)
        moved = functional.grid_sample(stacked, grid, mode="bilinear", padding_mode="border", align_corners=False)
        return self._appearance(moved[:, :1]), None if maps is None else moved[:, 1:]

    def _grid(self, batch: int, rows: int, columns: int, device: torch.device) -> torch.Tensor:
        angle = _uniform(batch, -self.rotation_degrees, self.rotation_degrees, device) * (math.pi / 180.0)
        zoom = torch.exp(_uniform(batch, math.log(self.scale[0]), math.log(self.scale[1]), device))
        mirror = torch.where(torch.rand(batch, device=device) < 0.5, -1.0, 1.0)
        cosine, sine = torch.cos(angle) / zoom, torch.sin(angle) / zoom
        axis = torch.arange(self.size, device=device) - (self.size - 1) / 2
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        source_x = mirror[:, None, None] * (cosine[:, None, None] * x - sine[:, None, None] * y)
        source_y = sine[:, None, None] * x + cosine[:, None, None] * y
        source_x = source_x + _uniform(batch, -self.shift, self.shift, device)[:, None, None]
        source_y = source_y + _uniform(batch, -self.shift, self.shift, device)[:, None, None]
        return torch.stack([source_x * 2.0 / columns, source_y * 2.0 / rows], dim=-1)

    def _appearance(self, hu: torch.Tensor) -> torch.Tensor:
        batch, device = len(hu), hu.device
        detail = hu - functional.avg_pool2d(hu, 3, stride=1, padding=1, count_include_pad=False)
        hu = hu + detail * _column(_uniform(batch, *self.sharpness, device))
        gain, offset = self.gain_offset
        hu = hu * _column(_uniform(batch, 1 - gain, 1 + gain, device)) + _column(
            _uniform(batch, -offset, offset, device)
        )
        white = torch.randn(hu.shape, device=device)
        # The mean of 9 independent values has a third of their standard deviation.
        smooth = 3.0 * functional.avg_pool2d(white, 3, stride=1, padding=1)
        mixed = torch.where(_column(torch.rand(batch, device=device)) < 0.5, white, smooth)
        sigma = torch.exp(_uniform(batch, math.log(self.noise_hu[0]), math.log(self.noise_hu[1]), device))
        return hu + mixed * _column(sigma)


def _uniform(count: int, low: float, high: float, device: torch.device) -> torch.Tensor:
    return low + (high - low) * torch.rand(count, device=device)


def _column(values: torch.Tensor) -> torch.Tensor:
    return values[:, None, None, None]
