"""sRGB to CIE Lab and back, in torch, on the device of the images.

Constants are those of scikit-image (sRGB primaries, illuminant D65, 2-degree observer), which the tests compare with.
Everything is element-wise in the input's precision: no matrix product, which autocast would round to bfloat16.
"""

from __future__ import annotations

import torch

__all__ = ["ab_bin_centers", "lab_to_rgb", "rgb_to_lab"]


def rgb_to_lab(rgb: torch.Tensor) -> torch.Tensor:
    """Converts sRGB images to CIE Lab.

    Args:
        rgb: (B, 3, H, W) floating point, 0..1, gamma-encoded as in picture files.

    Returns:
        (B, 3, H, W): L in 0..100, a and b roughly in -110..110.
    """
    linear = torch.where(rgb > 0.04045, ((rgb.clamp(min=0.0) + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    r, g, b = linear.unbind(dim=1)
    x = (0.412453 * r + 0.357580 * g + 0.180423 * b) / 0.95047
    y = 0.212671 * r + 0.715160 * g + 0.072169 * b
    z = (0.019334 * r + 0.119193 * g + 0.950227 * b) / 1.08883
    xyz = torch.stack([x, y, z], dim=1)
    f = torch.where(xyz > 0.008856, xyz.clamp(min=1e-6) ** (1.0 / 3.0), 7.787 * xyz + 16.0 / 116.0)
    fx, fy, fz = f.unbind(dim=1)
    return torch.stack([116.0 * fy - 16.0, 500.0 * (fx - fy), 200.0 * (fy - fz)], dim=1)


def lab_to_rgb(lab: torch.Tensor) -> torch.Tensor:
    """Converts CIE Lab to sRGB; colors outside the sRGB gamut are clipped.

    Args:
        lab: (B, 3, H, W) floating point, L in 0..100.

    Returns:
        (B, 3, H, W) in 0..1, gamma-encoded.
    """
    lightness, a, b = lab.unbind(dim=1)
    fy = (lightness + 16.0) / 116.0
    f = torch.stack([a / 500.0 + fy, fy, (fy - b / 200.0).clamp(min=0.0)], dim=1)
    xyz = torch.where(f > 0.2068966, f**3, (f - 16.0 / 116.0) / 7.787)
    x, y, z = xyz.unbind(dim=1)
    x = x * 0.95047
    z = z * 1.08883
    linear = torch.stack(
        [
            3.2404813432 * x - 1.5371515163 * y - 0.4985363262 * z,
            -0.9692549500 * x + 1.8759900015 * y + 0.0415559266 * z,
            0.0556466391 * x - 0.2040413384 * y + 1.0573110696 * z,
        ],
        dim=1,
    )
    encoded = torch.where(linear > 0.0031308, 1.055 * linear.clamp(min=1e-6) ** (1.0 / 2.4) - 0.055, 12.92 * linear)
    return encoded.clamp(0.0, 1.0)


def ab_bin_centers(bins: int = 313, step: float = 10.0) -> torch.Tensor:
    """Centers of the quantized ab colors, as in Zhang 2016: the grid points nearest to the sRGB gamut.

    Zhang keeps the 313 points of a grid of spacing 10 that are in or next to the gamut, and ships them as a file. Here
    the grid points are ordered by their distance to the gamut and the first `bins` are kept, so that any count is
    possible.

    Args:
        bins: Number of colors.
        step: Grid spacing in ab units.

    Returns:
        (bins, 2) float32, ordered by a, then b.

    Raises:
        ValueError: If the grid of -110..110 has fewer points than `bins`.
    """
    axis = torch.arange(-110.0, 110.0 + step / 2, step)
    grid = torch.cartesian_prod(axis, axis)
    if not 2 <= bins <= len(grid):
        raise ValueError(f"bins must be in 2..{len(grid)} for a grid of spacing {step}, got {bins}.")
    level = torch.linspace(0.0, 1.0, 33)
    colors = torch.cartesian_prod(level, level, level).reshape(-1, 3, 1, 1)
    gamut = rgb_to_lab(colors)[:, 1:, 0, 0].round()
    key = torch.unique(gamut[:, 0] * 1000.0 + gamut[:, 1])  # one number per color: much faster than unique rows
    a = torch.round(key / 1000.0)
    distance = torch.cdist(grid, torch.stack([a, key - 1000.0 * a], dim=1)).amin(dim=1)
    kept = torch.argsort(distance, stable=True)[:bins].sort().values
    return grid[kept]
