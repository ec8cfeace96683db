"""Puts procedural masses and simple cysts into tissue maps, on the device of the maps."""

from __future__ import annotations

from typing import Final

import torch

from nephro_monai.phantom.synthesis_fields import Spacing, coordinates_mm, log_uniform, smooth_field, uniform
from nephro_monai.phantom.synthesis_settings import MassRanges
from nephro_monai.phantom.tissues import Tissue

__all__ = ["KIDNEY_TISSUES", "TUMOR_TISSUES", "add_cysts", "add_masses", "is_tissue", "settle_own_tumors"]

KIDNEY_TISSUES: Final = (Tissue.KIDNEY_CORTEX, Tissue.KIDNEY_MEDULLA, Tissue.KIDNEY_CYST)
TUMOR_TISSUES: Final = (
    Tissue.TUMOR_SOLID, Tissue.TUMOR_NECROSIS, Tissue.TUMOR_SCAR, Tissue.TUMOR_FAT, Tissue.TUMOR_CALCIFICATION,
)  # fmt: skip
_UNYIELDING: Final = (
    Tissue.AIR, Tissue.SKIN, Tissue.CORTICAL_BONE, Tissue.TRABECULAR_BONE, Tissue.DISC, Tissue.SPINAL_CANAL,
    Tissue.AORTA, Tissue.VENA_CAVA, Tissue.HEART, Tissue.TABLE, Tissue.METAL, Tissue.VASCULAR_CALCIFICATION,
)  # fmt: skip
"""Tissues that no mass takes the place of."""
_UNDER_CYSTS: Final = (
    Tissue.KIDNEY_CORTEX, Tissue.KIDNEY_MEDULLA, Tissue.VISCERAL_FAT, Tissue.SINUS_FAT, Tissue.FASCIA,
)  # fmt: skip
_SMALLEST_KIDNEY_VOXELS = 50


def is_tissue(tissues: torch.Tensor, some: tuple[Tissue, ...]) -> torch.Tensor:
    """Where a map shows one of some tissues."""
    table = torch.zeros(256, dtype=torch.bool)
    table[list(some)] = True
    return table.to(tissues.device)[tissues.int()]


def settle_own_tumors(tissues: torch.Tensor, spacing: Spacing, ranges: MassRanges) -> None:
    """Lets each patch's own tumor stay or become kidney cortex, in place.

    Args:
        tissues: (B, X, Y, Z) uint8.
        spacing: Of its voxels in mm.
        ranges: `keep_share` and `small_tumor_ml` are used.
    """
    own = is_tissue(tissues, TUMOR_TISSUES)
    size_ml = own.sum(dim=(1, 2, 3)) * (spacing[0] * spacing[1] * spacing[2] / 1000)
    goes = uniform((len(tissues),), 0, 1).to(tissues.device) >= ranges.keep_share
    goes &= size_ml <= ranges.small_tumor_ml
    tissues[own & goes[:, None, None, None]] = Tissue.KIDNEY_CORTEX


def _some_voxels(mask: torch.Tensor, share: torch.Tensor) -> list[list[int] | None]:
    """One voxel of each (X, Y, Z) mask, the one at `share` (0..1) of its voxels; None where the mask is empty."""
    counts = mask.flatten(1).cumsum(1, dtype=torch.int32)
    total = counts[:, -1:]
    wanted = (share.to(mask.device)[:, None] * total).int().clamp_min(0) + 1
    found = torch.searchsorted(counts, torch.minimum(wanted, total).contiguous())[:, 0]
    _, ny, nz = mask.shape[1:]
    places = torch.stack([found // (ny * nz), found // nz % ny, found % nz, (total[:, 0] > 0).long()], dim=1)
    return [place[:3] if place[3] else None for place in places.tolist()]


def _surface(mask: torch.Tensor) -> torch.Tensor:
    """Voxels of (B, X, Y, Z) masks with a neighbor outside along an axis; the patch's own rim is none."""
    inner = mask.clone()
    for axis in (1, 2, 3):
        n = mask.shape[axis]
        inner.narrow(axis, 1, n - 1).logical_and_(mask.narrow(axis, 0, n - 1))
        inner.narrow(axis, 0, n - 1).logical_and_(mask.narrow(axis, 1, n - 1))
    return mask & ~inner


def _outward(kidney: torch.Tensor, at: list[int], spacing: Spacing) -> torch.Tensor:
    """Unit vector in mm that points out of a kidney at a voxel of its surface."""
    reach = [max(2, round(6 / s)) for s in spacing]
    box = tuple(slice(max(0, a - r), a + r + 1) for a, r in zip(at, reach, strict=True))
    near = kidney[box].cpu().nonzero().float() + torch.tensor([float(b.start) for b in box])
    offset = (torch.tensor(at, dtype=torch.float32) - near.mean(0)) * torch.tensor(spacing)
    return offset / offset.norm().clamp_min(1e-3)


def _pushed(kidney: torch.Tensor, at: list[int], push_mm: float, spacing: Spacing) -> torch.Tensor:
    """Voxel coordinates of the point that lies `push_mm` outward of a voxel of a kidney's surface."""
    return torch.tensor(at, dtype=torch.float32) + _outward(kidney, at, spacing) * push_mm / torch.tensor(spacing)


def _box_around(
    center: torch.Tensor, reach_mm: float, spacing: Spacing, shape: torch.Size
) -> tuple[slice, slice, slice] | None:
    """Index box around a center in voxels, cut to the patch; None outside."""
    bounds = []
    for c, s, n in zip(center.tolist(), spacing, shape, strict=True):
        low, high = max(0, int(c - reach_mm / s)), min(n, int(c + reach_mm / s) + 2)
        if low >= high:
            return None
        bounds.append(slice(low, high))
    return bounds[0], bounds[1], bounds[2]


def add_masses(tissues: torch.Tensor, spacing: Spacing, ranges: MassRanges) -> torch.Tensor:
    """Adds a lumpy mass near the surface of a kidney to some patches, in place.

    As `tumors.add_mass`: centered from inside the kidney to outside, stretched and lumpy. Where it lies is decided
    with numbers from the processor's generator, so that a GPU makes the same label maps.

    Args:
        tissues: (B, X, Y, Z) uint8.
        spacing: Of its voxels in mm.
        ranges: How many and how large.

    Returns:
        (B, X, Y, Z) depth below the mass's surface in mm, negative outside and -1000 in patches without a mass.
    """
    batch, device = len(tissues), tissues.device
    kidney = is_tissue(tissues, KIDNEY_TISSUES)
    wanted = torch.rand(batch) < ranges.mass_share
    places = _some_voxels(_surface(kidney), torch.rand(batch))
    sizes = kidney.sum(dim=(1, 2, 3)).tolist()
    radii = (0.5 * log_uniform((batch,), *ranges.diameter_mm)).tolist()
    depth = torch.full(tissues.shape, -1000.0, device=device)
    for b, (at, radius) in enumerate(zip(places, radii, strict=True)):
        if not wanted[b] or at is None or sizes[b] < _SMALLEST_KIDNEY_VOXELS:
            continue
        center = _pushed(kidney[b], at, radius * float(uniform((), *ranges.buried)), spacing)
        box = _box_around(center, 1.75 * radius, spacing, tissues.shape[1:])
        if box is None:
            continue
        mass = _lumpy_depth(box, center, radius, spacing, ranges).to(device)
        view = tissues[b][box]
        mass = torch.where(is_tissue(view, _UNYIELDING), -1.0, mass)
        view[mass > 0] = Tissue.TUMOR_SOLID
        depth[b][box] = mass
    return depth


def _lumpy_depth(
    box: tuple[slice, slice, slice], center: torch.Tensor, radius: float, spacing: Spacing, ranges: MassRanges
) -> torch.Tensor:
    """Depth in mm below the surface of a stretched, lumpy ball; on the processor, whose generator it needs."""
    device = torch.device("cpu")
    x, y, z = coordinates_mm(box, center.tolist(), spacing, device)
    a, b, c = uniform((3,), 0.85, 1.18).tolist()
    shape = [s.stop - s.start for s in box]
    lump = smooth_field(shape, spacing, max(8.0, 0.8 * radius), device)
    height = radius * float(uniform((), *ranges.lumps))
    return radius - torch.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2) - height * lump


def add_cysts(tissues: torch.Tensor, spacing: Spacing, ranges: MassRanges) -> None:
    """Adds simple cysts to the kidneys of some patches, in place; they keep the kidney's label, as in KiTS19.

    As masses they lie from inside the kidney to outside: a cyst that bulges out is what is most easily called a tumor.

    Args:
        tissues: (B, X, Y, Z) uint8.
        spacing: Of its voxels in mm.
        ranges: How many and how large.
    """
    batch, device = len(tissues), tissues.device
    has = torch.rand(batch) < ranges.cyst_share
    counts = torch.where(has, torch.randint(1, ranges.most_cysts + 1, (batch,)), torch.zeros(batch, dtype=torch.long))
    if not has.any():
        return
    kidney = is_tissue(tissues, (Tissue.KIDNEY_CORTEX, Tissue.KIDNEY_MEDULLA))
    surface = _surface(kidney)
    for round_ in range(int(counts.max())):
        places = _some_voxels(surface, torch.rand(batch))
        radii = 0.5 * log_uniform((batch,), *ranges.cyst_diameter_mm)
        pushes = radii * uniform((batch,), *ranges.cyst_buried)
        stretch = uniform((batch, 3), 0.9, 1.1)
        for b, at in enumerate(places):
            if counts[b] <= round_ or at is None:
                continue
            center = _pushed(kidney[b], at, float(pushes[b]), spacing)
            box = _box_around(center, 1.1 * float(radii[b]), spacing, tissues.shape[1:])
            if box is None:
                continue
            x, y, z = coordinates_mm(box, center.tolist(), spacing, device)
            p, q, r = (radii[b] * stretch[b]).tolist()
            view = tissues[b][box]
            inside = (x / p) ** 2 + (y / q) ** 2 + (z / r) ** 2 < 1
            view[inside & is_tissue(view, _UNDER_CYSTS)] = Tissue.KIDNEY_CYST
