"""Contrast phases and correlated tissue HU for a batch, and their rendering: `tissues` and `acquisition` in torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch

from nephro_monai.phantom.parameters import PARAMETERS, Parameters
from nephro_monai.phantom.synthesis_fields import Spacing, log_uniform, smooth_fields, uniform
from nephro_monai.phantom.tissues import PHASES, Tissue

__all__ = ["draw_hu", "draw_phases", "render"]

_ARTERIES: Final = (Tissue.AORTA, Tissue.ARTERY, Tissue.SPLEEN, Tissue.PANCREAS, Tissue.HEART)
_VEINS: Final = (Tissue.PORTAL_VEIN, Tissue.VEIN, Tissue.VENA_CAVA, Tissue.LIVER)
_RIPPLE_MM = 16.0


def draw_phases(batch: int, parameters: Parameters = PARAMETERS) -> torch.Tensor:
    """(B,) indices of `PHASES`, drawn with their shares from the processor's generator."""
    return torch.multinomial(torch.tensor(parameters.phase_shares), batch, replacement=True)


def _ranges(parameters: Parameters) -> torch.Tensor:
    """(tissues, phases, 2) of `tissue_hu`; tumor tissues have no HU of their own and are drawn over later."""
    table = parameters.tissue_hu
    return torch.tensor([table.get(tissue, table[Tissue.AIR]) for tissue in Tissue], dtype=torch.float32)


def draw_hu(phases: torch.Tensor, parameters: Parameters = PARAMETERS) -> torch.Tensor:
    """Draws one correlated set of mean HU per patch, by the rules of `contrast.draw_tissue_hu`.

    Args:
        phases: (B,) indices of `PHASES`.
        parameters: Ranges.

    Returns:
        (B, number of tissues) float32 on the processor, each inside its range.
    """
    batch, ranges = len(phases), _ranges(parameters)
    low, high = ranges[:, phases].permute(2, 1, 0)
    share = torch.rand(batch, len(Tissue))
    for group in (_ARTERIES, _VEINS):
        # Pulled toward one enhancement that the group shares.
        level = torch.rand(batch, 1)
        share[:, list(group)] = 0.7 * level + 0.3 * torch.rand(batch, len(group))
    hu = low + (high - low) * share
    fat = ranges[Tissue.VISCERAL_FAT, 0]
    hu[:, Tissue.VISCERAL_FAT] = (hu[:, Tissue.SUBCUTANEOUS_FAT] + 4 * torch.randn(batch)).clamp(fat[0], fat[1])
    cortex = hu[:, Tissue.KIDNEY_CORTEX]
    arterial = PHASES.index("arterial")
    early = ranges[Tissue.KIDNEY_MEDULLA, arterial]
    medulla = (cortex * uniform((batch,), *parameters.medulla_of_cortex["arterial"])).clamp(early[0], early[1])
    later = cortex * uniform((batch,), *parameters.medulla_of_cortex["later"])
    hu[:, Tissue.KIDNEY_MEDULLA] = torch.where(phases == arterial, medulla, later)
    return hu


def render(
    tissues: torch.Tensor, hu: torch.Tensor, phases: torch.Tensor, spacing: Spacing, parameters: Parameters = PARAMETERS
) -> torch.Tensor:
    """Ideal HU of tissue maps, without tumors, blur and noise.

    Args:
        tissues: (B, X, Y, Z) uint8.
        hu: (B, number of tissues) from `draw_hu`.
        phases: (B,) indices of `PHASES`.
        spacing: Of the voxels in mm.
        parameters: Ranges.

    Returns:
        (B, X, Y, Z) float32 HU on the device of the map.
    """
    batch, device = len(tissues), tissues.device
    texture, mottle = torch.zeros_like(hu), torch.zeros_like(hu)
    for tables, ranges in ((texture, parameters.texture_hu), (mottle, parameters.mottle_hu)):
        for tissue, (low, high) in ranges.items():
            tables[:, tissue] = uniform((batch,), low, high)
    tables = torch.stack([hu, texture, mottle]).to(device)
    count = tables.shape[2]
    index = tissues.int().clamp_(max=count - 1)
    index += torch.arange(0, batch * count, count, dtype=torch.int32, device=device)[:, None, None, None]
    mean, soft, rough = (table.reshape(-1)[index] for table in tables)
    ripple = smooth_fields(batch, tissues.shape[1:], spacing, _RIPPLE_MM, device)
    image = mean.addcmul_(soft, ripple).addcmul_(rough, torch.randn(tissues.shape, device=device))
    _stripe_spleens(image, tissues, ripple, phases, spacing, parameters.spleen_stripes)
    return image


def _stripe_spleens(
    image: torch.Tensor, tissues: torch.Tensor, ripple: torch.Tensor, phases: torch.Tensor, spacing: Sequence[float],
    stripes: Mapping[str, Any],
) -> None:  # fmt: skip
    """The moire of the early arterial spleen, in some of the arterial patches, in place."""
    striped = (phases == PHASES.index("arterial")) & (torch.rand(len(phases)) < stripes["stripes_share"])
    for b in torch.nonzero(striped).flatten().tolist():
        direction = torch.randn(3)
        direction *= 2 * math.pi / float(uniform((), *stripes["wavelength_mm"])) / direction.norm()
        height = float(log_uniform((), *stripes["height_hu"]))
        x, y, z = (
            torch.arange(n, device=image.device) * (s * d)
            for n, s, d in zip(image.shape[1:], spacing, direction.tolist(), strict=True)
        )
        wave = torch.sin(x[:, None, None] + y[:, None] + z + 2.2 * ripple[b])
        image[b] += torch.where(tissues[b] == Tissue.SPLEEN, height * wave, 0.0)
