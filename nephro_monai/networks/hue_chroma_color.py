"""Hue, chroma and lightness, as Larsson 2016 predicts colors, in torch on the device of the images.

Hue and chroma are those of HSV (chroma = largest minus smallest channel), lightness is the mean of the channels: "L" in
their section 3.2. Everything is element-wise, so that autocast rounds nothing.
"""

from __future__ import annotations

import torch

__all__ = ["expected_hue_chroma", "hue_chroma_to_rgb", "rgb_to_hue_chroma"]

_FADING = 0.96
"""Chromatic fading (Larsson 2016, section 3.4): resultant length of the hue's distribution below which chroma fades
out. Their threshold 0.03 is on the mean over 32 bins; this is on the sum."""


def rgb_to_hue_chroma(rgb: torch.Tensor) -> torch.Tensor:
    """Hue and chroma of sRGB images.

    Args:
        rgb: (B, 3, H, W) in 0..1.

    Returns:
        (B, 2, H, W): hue in 0..1 (once around the circle, 0 = red; 0 where there is no color) and chroma in 0..1.
    """
    r, g, b = rgb.unbind(dim=1)
    largest, smallest = rgb.amax(dim=1), rgb.amin(dim=1)
    chroma = largest - smallest
    safe = chroma.clamp(min=1e-12)
    sixth = torch.where(
        r >= largest, (g - b) / safe, torch.where(g >= largest, 2.0 + (b - r) / safe, 4.0 + (r - g) / safe)
    )
    hue = torch.where(chroma > 0, torch.remainder(sixth / 6.0, 1.0), torch.zeros_like(chroma))
    return torch.stack([hue, chroma], dim=1)


def hue_chroma_to_rgb(hue_chroma: torch.Tensor, lightness: torch.Tensor) -> torch.Tensor:
    """SRGB images of given hue, chroma and mean of the channels.

    Where hue and lightness do not allow that much chroma in sRGB, it is the largest they allow, so that black stays
    black and lightness is kept exactly (the authors clip the channels instead).

    Args:
        hue_chroma: (B, 2, H, W), both 0..1.
        lightness: (B, 1, H, W), mean of the three channels, 0..1.

    Returns:
        (B, 3, H, W) in 0..1.
    """
    hue, chroma = hue_chroma[:, :1], hue_chroma[:, 1:]
    offsets = torch.tensor([0.0, 4.0, 2.0], dtype=hue.dtype, device=hue.device)[:, None, None]
    pure = (torch.remainder(hue * 6.0 + offsets, 6.0) - 3.0).abs().sub(1.0).clamp(0.0, 1.0)
    middle = pure.mean(dim=1, keepdim=True)  # 1/3 to 2/3
    possible = torch.minimum(lightness / middle, (1.0 - lightness) / (1.0 - middle)).clamp(min=0.0)
    return (torch.minimum(chroma, possible) * (pure - middle) + lightness).clamp(0.0, 1.0)


def expected_hue_chroma(hue_shares: torch.Tensor, chroma_shares: torch.Tensor) -> torch.Tensor:
    """Hue and chroma from their distributions, by expectation (Larsson 2016, section 3.4).

    Hue is the direction of the mean of its bins on the circle. Where the bins cancel out, that direction means nothing,
    and chroma is faded out in proportion.

    Args:
        hue_shares: (B, bins, H, W), sums to 1 over the bins.
        chroma_shares: (B, bins, H, W), likewise.

    Returns:
        (B, 2, H, W), hue and chroma in 0..1.
    """
    bins = hue_shares.size(1)
    centers = (torch.arange(bins, dtype=hue_shares.dtype, device=hue_shares.device) + 0.5) / bins
    angles = (2.0 * torch.pi * centers)[:, None, None]
    x, y = (hue_shares * torch.cos(angles)).sum(dim=1), (hue_shares * torch.sin(angles)).sum(dim=1)
    hue = torch.remainder(torch.atan2(y, x) / (2.0 * torch.pi), 1.0)
    steps = (torch.arange(chroma_shares.size(1), dtype=x.dtype, device=x.device) + 0.5) / chroma_shares.size(1)
    chroma = (chroma_shares * steps[:, None, None]).sum(dim=1)
    fading = (torch.hypot(x, y) / _FADING).clamp(max=1.0)
    return torch.stack([hue, chroma * fading], dim=1)
