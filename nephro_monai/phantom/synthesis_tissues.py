"""Contrast phases and correlated tissue HU for a batch, and their rendering: `tissues` and `acquisition` in torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch

from nephro_monai.phantom.acquisition import TEXTURE_HU
from nephro_monai.phantom.synthesis_fields import Spacing, log_uniform, smooth_fields, uniform
from nephro_monai.phantom.tissues import PHASE_SHARES, PHASES, TISSUE_HU, Tissue

__all__ = ["draw_hu", "draw_phases", "render"]

_RANGES: Final = torch.tensor([[TISSUE_HU.get(Tissue(t), TISSUE_HU[Tissue.AIR]) for t in Tissue]], dtype=torch.float32)[
    0
]
"""(tissues, phases, 2) of `TISSUE_HU`; tumor tissues have no HU of their own and are drawn over later."""
_ARTERIES: Final = (Tissue.AORTA, Tissue.ARTERY, Tissue.SPLEEN, Tissue.PANCREAS, Tissue.HEART)
_VEINS: Final = (Tissue.PORTAL_VEIN, Tissue.VEIN, Tissue.VENA_CAVA, Tissue.LIVER)
_MOTTLE: Final = {Tissue.FECES: (40, 220), Tissue.TRABECULAR_BONE: (15, 60), Tissue.CORTICAL_BONE: (30, 150)}
_RIPPLE_MM = 16.0


def draw_phases(batch: int) -> torch.Tensor:
    """(B,) indices of `PHASES`, drawn with `PHASE_SHARES` from the processor's generator."""
    return torch.multinomial(torch.tensor(PHASE_SHARES), batch, replacement=True)


def draw_hu(phases: torch.Tensor) -> torch.Tensor:
    """Draws one correlated set of mean HU per patch, by the rules of `tissues.draw_tissue_hu`.

    Args:
        phases: (B,) indices of `PHASES`.

    Returns:
        (B, number of tissues) float32 on the processor, each inside its range.
    """
    batch = len(phases)
    low, high = _RANGES[:, phases].permute(2, 1, 0)
    share = torch.rand(batch, len(Tissue))
    for group in (_ARTERIES, _VEINS):
        # Pulled toward one enhancement that the group shares.
        level = torch.rand(batch, 1)
        share[:, list(group)] = 0.7 * level + 0.3 * torch.rand(batch, len(group))
    hu = low + (high - low) * share
    fat = _RANGES[Tissue.SUBCUTANEOUS_FAT, 0]
    hu[:, Tissue.VISCERAL_FAT] = (hu[:, Tissue.SUBCUTANEOUS_FAT] + 4 * torch.randn(batch)).clamp(fat[0], fat[1])
    cortex = hu[:, Tissue.KIDNEY_CORTEX]
    arterial = PHASES.index("arterial")
    early = _RANGES[Tissue.KIDNEY_MEDULLA, arterial]
    medulla = (cortex * uniform((batch,), 0.35, 0.8)).clamp(early[0], early[1])
    later = cortex * uniform((batch,), 0.85, 1.02)
    hu[:, Tissue.KIDNEY_MEDULLA] = torch.where(phases == arterial, medulla, later)
    return hu


def render(tissues: torch.Tensor, hu: torch.Tensor, phases: torch.Tensor, spacing: Spacing) -> torch.Tensor:
    """Ideal HU of tissue maps, without tumors, blur and noise.

    Args:
        tissues: (B, X, Y, Z) uint8.
        hu: (B, number of tissues) from `draw_hu`.
        phases: (B,) indices of `PHASES`.
        spacing: Of the voxels in mm.

    Returns:
        (B, X, Y, Z) float32 HU on the device of the map.
    """
    batch, device = len(tissues), tissues.device
    texture, mottle = torch.zeros_like(hu), torch.zeros_like(hu)
    for tables, ranges in ((texture, TEXTURE_HU), (mottle, _MOTTLE)):
        for tissue, (low, high) in ranges.items():
            tables[:, tissue] = uniform((batch,), low, high)
    tables = torch.stack([hu, texture, mottle]).to(device)
    count = tables.shape[2]
    index = tissues.int().clamp_(max=count - 1)
    index += torch.arange(0, batch * count, count, dtype=torch.int32, device=device)[:, None, None, None]
    mean, soft, rough = (table.reshape(-1)[index] for table in tables)
    ripple = smooth_fields(batch, tissues.shape[1:], spacing, _RIPPLE_MM, device)
    image = mean.addcmul_(soft, ripple).addcmul_(rough, torch.randn(tissues.shape, device=device))
    _stripe_spleens(image, tissues, ripple, phases, spacing)
    return image


def _stripe_spleens(
    image: torch.Tensor, tissues: torch.Tensor, ripple: torch.Tensor, phases: torch.Tensor, spacing: Sequence[float]
) -> None:
    """The moire of the early arterial spleen, in half of the arterial patches, in place."""
    striped = (phases == PHASES.index("arterial")) & (torch.rand(len(phases)) < 0.5)
    for b in torch.nonzero(striped).flatten().tolist():
        direction = torch.randn(3)
        direction *= 2 * math.pi / float(uniform((), 10, 24)) / direction.norm()
        height = float(log_uniform((), 8, 40))
        x, y, z = (
            torch.arange(n, device=image.device) * (s * d)
            for n, s, d in zip(image.shape[1:], spacing, direction.tolist(), strict=True)
        )
        wave = torch.sin(x[:, None, None] + y[:, None] + z + 2.2 * ripple[b])
        image[b] += torch.where(tissues[b] == Tissue.SPLEEN, height * wave, 0.0)
