"""Renders tumors whose look is bound to a subtype: `tumors.paint_tumor` in torch, on the tumor's box of a patch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from nephro_monai.phantom.parameters import PARAMETERS, Parameters
from nephro_monai.phantom.synthesis_fields import Spacing, coordinates_mm, smooth_field, step_between, uniform
from nephro_monai.phantom.synthesis_masses import TUMOR_TISSUES, is_tissue
from nephro_monai.phantom.synthesis_settings import SynthesisSettings
from nephro_monai.phantom.tissues import PHASES, Tissue
from nephro_monai.phantom.tumors import TumorLook, draw_look

__all__ = ["draw_subtype", "paint_tumors"]

_EROSIONS = 8


def draw_subtype(rng: np.random.Generator, benign_share: float, parameters: Parameters = PARAMETERS) -> str:
    """KiTS19's name of a subtype, by its family's shares."""
    benign = rng.uniform() < benign_share
    shares = parameters.benign_subtype_shares if benign else parameters.malignant_subtype_shares
    return str(rng.choice(list(shares), p=list(shares.values())))


@dataclass(frozen=True)
class _Patch:
    """The tumor's box of one patch: depth in mm, where it is tumor, and the box itself."""

    box: tuple[slice, slice, slice]
    depth: torch.Tensor
    mask: torch.Tensor
    spacing: Spacing


def paint_tumors(
    image: torch.Tensor, tissues: torch.Tensor, depth: torch.Tensor, hu: torch.Tensor, phases: torch.Tensor,
    settings: SynthesisSettings,
) -> list[TumorLook | None]:  # fmt: skip
    """Draws a look for each patch with a tumor, and paints it into HU and tissues, in place.

    Args:
        image: (B, X, Y, Z) ideal HU.
        tissues: (B, X, Y, Z) uint8; what is tumor gets the look's tissues.
        depth: (B, X, Y, Z) mm below the surface of procedural masses, from `add_masses`.
        hu: (B, number of tissues) from `draw_hu`, on the processor.
        phases: (B,) indices of `PHASES`, on the processor.
        settings: Spacing, share of benign looks, ranges.

    Returns:
        The looks; None for patches without a tumor.
    """
    spacing, parameters = settings.spacing_mm, settings.parameters
    rng = np.random.default_rng(torch.randint(2**31 - 1, (4,)).tolist())
    voxel = spacing[0] * spacing[1] * spacing[2]
    tumor = is_tissue(tissues, TUMOR_TISSUES)
    looks: list[TumorLook | None] = []
    for b, found in enumerate(_boxes(tumor)):
        if found is None:
            looks.append(None)
            continue
        box, count = found
        parenchyma = float(0.6 * hu[b, Tissue.KIDNEY_CORTEX] + 0.4 * hu[b, Tissue.KIDNEY_MEDULLA])
        diameter = 2 * (count * voxel * 0.239) ** (1 / 3)
        subtype = draw_subtype(rng, settings.masses.benign_share, parameters)
        look = draw_look(rng, subtype, parenchyma, PHASES[int(phases[b])], diameter, parameters)
        mask = tumor[b][box]
        own = depth[b][box]
        if bool((mask & (own <= 0)).any()):
            # The map's own tumor: its depth is measured.
            own = torch.maximum(own, _depth_of(mask, spacing))
        part = _Patch(box, own, mask, spacing)
        values, ids = _rendered(part, look)
        image[b][box] = torch.where(mask, values, image[b][box])
        tissues[b][box] = torch.where(mask, ids, tissues[b][box])
        looks.append(look)
    return looks


def _boxes(mask: torch.Tensor) -> list[tuple[tuple[slice, slice, slice], int] | None]:
    """Bounding box and number of voxels of each (X, Y, Z) mask; None where it is empty."""
    sides = [mask.any(dim=dims).cpu() for dims in ((2, 3), (1, 3), (1, 2))]
    counts = mask.sum(dim=(1, 2, 3)).tolist()
    found: list[tuple[tuple[slice, slice, slice], int] | None] = []
    for b, count in enumerate(counts):
        lines = [torch.nonzero(side[b]).flatten() for side in sides]
        x, y, z = (slice(int(line[0]), int(line[-1]) + 1) if len(line) else slice(0) for line in lines)
        found.append(((x, y, z), count) if count else None)
    return found


def _depth_of(mask: torch.Tensor, spacing: Spacing) -> torch.Tensor:
    """About the depth in mm below a mask's surface: how many times it can be eroded, at two voxels a time."""
    padded = functional.pad(mask[None, None].float(), [2] * 6)
    left = functional.avg_pool3d(padded, 2, ceil_mode=True)
    layers = torch.zeros_like(left)
    left = (left > 0.5).float()
    for _ in range(_EROSIONS):
        layers += left
        left = -functional.max_pool3d(-left, 3, stride=1, padding=1)
    layers = (layers - 0.5).clamp_min(0.0)
    fine = functional.interpolate(layers, size=padded.shape[2:], mode="trilinear", align_corners=False)
    step = 2 * (spacing[0] * spacing[1] * spacing[2]) ** (1 / 3)
    return fine[0, 0, 2:-2, 2:-2, 2:-2] * step


def _rendered(part: _Patch, look: TumorLook) -> tuple[torch.Tensor, torch.Tensor]:
    """HU and tissue ids in the box; they hold where the mask does."""
    depth, mask, spacing = part.depth, part.mask, part.spacing
    device, shape = depth.device, depth.shape
    radius = max(float(depth[mask].max()), 3.0)
    coarse = smooth_field(shape, spacing, min(max(0.7 * radius, 6.0), 22.0), device)
    medium = smooth_field(shape, spacing, min(max(0.4 * radius, 5.0), 9.0), device)
    fine = torch.randn(shape, device=device)
    hu = look.solid_hu + look.coarse_hu * (0.75 * coarse + 0.5 * medium) + look.fine_hu * fine
    ids = torch.full(shape, int(Tissue.TUMOR_SOLID), dtype=torch.uint8, device=device)
    if look.rim_hu:
        hu = hu + look.rim_hu * (depth < 2.2)
    if look.necrosis:
        # Necrosis lies where blood does not reach: inside.
        score = coarse + 0.35 * medium + 1.3 * (depth / radius).clamp(0, 1)
        inner = mask & (depth > min(2.0, 0.2 * radius))
        value = look.necrosis_hu + 5 * medium + 3 * fine
        hu, ids = _blended(hu, ids, inner, score, (look.necrosis, 0.05, 0.7), value, Tissue.TUMOR_NECROSIS)
    if look.fat:
        value = (look.fat_hu + 10 * coarse + 5 * fine).clamp(-120, -15)
        score = 0.7 * medium + 0.8 * coarse
        hu, ids = _blended(hu, ids, mask, score, (look.fat, 0.05, 0.4), value, Tissue.TUMOR_FAT)
    if look.scar:
        scar = _stellate(part, look.scar * radius)
        hu = torch.where(scar, look.scar_hu + 4 * medium + 2 * fine, hu)
        ids = ids.masked_fill(scar, int(Tissue.TUMOR_SCAR))
    if look.calcified:
        stones = mask & (medium * coarse > float(uniform((), 2.2, 3.0)))
        hu = hu.masked_fill(stones, float(uniform((), 180, 550)))
        ids = ids.masked_fill(stones, int(Tissue.TUMOR_CALCIFICATION))
    return hu, ids


def _blended(
    hu: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor, score: torch.Tensor,
    share_and_widths: tuple[float, float, float], value: torch.Tensor, tissue: Tissue,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Gives the share of `mask` with the highest scores a tissue and, over a soft edge, its HU."""
    scores = score[mask]
    if not len(scores):
        return hu, ids
    share, narrowest, widest = share_and_widths
    threshold = torch.kthvalue(scores, max(1, min(len(scores), round((1 - share) * len(scores))))).values
    weight = torch.where(mask, step_between(score, threshold, float(uniform((), narrowest, widest))), 0.0)
    return torch.lerp(hu, value, weight), ids.masked_fill(mask & (score > threshold), int(tissue))


def _stellate(part: _Patch, radius: float) -> torch.Tensor:
    """A star around the tumor's middle: a core with arms, stretched along z."""
    device, shape = part.depth.device, part.depth.shape
    weight = torch.where(part.mask, part.depth.clamp_min(0.0) ** 3, 0.0)
    total = weight.sum().clamp_min(1e-6)
    center = []
    for axis in range(3):
        others = tuple(k for k in range(3) if k != axis)
        along = torch.arange(shape[axis], dtype=torch.float32, device=device)
        center.append((weight.sum(dim=others) * along).sum() / total)
    box = (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
    x, y, z = coordinates_mm(box, torch.stack(center).tolist(), part.spacing, device)
    # Scars are discs and columns more than balls: stretched along z, so that more than the middle slice shows one.
    distance = torch.sqrt(0.3 * z * z + y * y + x * x)
    arms = int(torch.randint(3, 7, ()))
    ripple = smooth_field(shape, part.spacing, 16.0, device)
    turn = float(uniform((), 0, 2 * math.pi))
    wave = torch.cos(arms * torch.atan2(y, x) + turn + 0.03 * z + 0.5 * ripple).clamp(0, 1)
    return part.mask & (distance < radius * (0.4 + 0.7 * wave**2))
