"""Random changes of a slice and its kidney numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

__all__ = ["SliceAugmentation"]

_AIR_HU = -200.0


@dataclass(frozen=True)
class SliceAugmentation:
    """Geometry first, then intensity; the kidney numbers follow the geometry.

    Attributes:
        flip: Probability of exchanging left and right.
        scale: Range of magnification.
        rotation_degrees: Largest rotation to either side.
        shift_pixels: Largest shift along rows and columns.
        gain: Largest relative change of HU.
        offset_hu: Largest change of all HU.
        noise_hu: Largest standard deviation of added noise (in half of the slices).
        blur_pixels: Largest standard deviation of a Gaussian blur (in a third of the slices).
    """

    flip: float = 0.5
    scale: tuple[float, float] = (0.8, 1.25)
    rotation_degrees: float = 8.0
    shift_pixels: float = 20.0
    gain: float = 0.06
    offset_hu: float = 12.0
    noise_hu: float = 30.0
    blur_pixels: float = 1.0

    def __call__(
        self, hu: torch.Tensor, sides: torch.Tensor, seed: int | Sequence[int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Changes one slice; the same seed gives the same change.

        Args:
            hu: (H, W) float32.
            sides: (H, W) kidney numbers.
            seed: Decides everything.

        Returns:
            HU and kidney numbers of the same shapes.
        """
        rng = np.random.default_rng(seed)
        grid = self._sampling_grid(rng, hu.shape[0])
        # Zero padding of grid_sample stands for air.
        hu = functional.grid_sample((hu - _AIR_HU)[None, None], grid, align_corners=False)[0, 0] + _AIR_HU
        sides = functional.grid_sample(sides.float()[None, None], grid, mode="nearest", align_corners=False)[0, 0]
        hu = hu * float(1 + rng.uniform(-self.gain, self.gain)) + float(rng.uniform(-self.offset_hu, self.offset_hu))
        if rng.random() < 1 / 3:
            hu = _blurred(hu, float(rng.uniform(0.2, self.blur_pixels)))
        if rng.random() < 0.5:
            noise = rng.standard_normal(hu.shape, dtype=np.float32) * rng.uniform(0, self.noise_hu)
            hu = hu + torch.from_numpy(noise.astype(np.float32))
        return hu, sides.to(torch.uint8)

    def _sampling_grid(self, rng: np.random.Generator, size: int) -> torch.Tensor:
        """Where each output pixel is read, (1, H, W, 2)."""
        scale = math.exp(rng.uniform(math.log(self.scale[0]), math.log(self.scale[1])))
        angle = math.radians(rng.uniform(-self.rotation_degrees, self.rotation_degrees))
        mirror = -1.0 if rng.random() < self.flip else 1.0
        shift = rng.uniform(-self.shift_pixels, self.shift_pixels, 2) * 2 / size
        cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
        matrix = torch.tensor([[[mirror * cos, -mirror * sin, shift[0]], [sin, cos, shift[1]]]], dtype=torch.float32)
        return functional.affine_grid(matrix, [1, 1, size, size], align_corners=False)


def _blurred(hu: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian blur, 7 pixels wide."""
    positions = torch.arange(-3, 4, dtype=torch.float32)
    kernel = torch.exp(-(positions**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = functional.pad(hu[None, None], (3, 3, 3, 3), mode="replicate")
    rows = functional.conv2d(padded, kernel.view(1, 1, 7, 1))
    return functional.conv2d(rows, kernel.view(1, 1, 1, 7))[0, 0]
