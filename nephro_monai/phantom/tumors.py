"""Tumors: procedural masses on the kidney's rim, and how each KiTS19 subtype looks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nephro_monai.phantom.canvas import Bounds, Canvas, smooth_noise
from nephro_monai.phantom.parameters import PARAMETERS, Look, Parameters, Range
from nephro_monai.phantom.shapes import REACH_MM, Shapes
from nephro_monai.phantom.tissues import Phase, Tissue

__all__ = ["TumorLook", "add_mass", "draw_look", "paint_tumor"]

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class TumorLook:
    """Appearance of one tumor.

    Attributes:
        subtype: KiTS19's name.
        solid_hu: Mean HU of its solid part.
        coarse_hu: Heterogeneity (standard deviation) over centimeters.
        fine_hu: Heterogeneity over millimeters.
        necrosis: Share of the tumor that is necrotic or cystic, 0..1.
        necrosis_hu: Its HU.
        scar: Radius of the central stellate scar relative to the tumor's, 0 without one.
        scar_hu: Its HU.
        fat: Share of macroscopic fat, 0..1.
        fat_hu: Its HU.
        rim_hu: What the outermost 2 mm add.
        calcified: Whether it holds calcifications.
    """

    subtype: str
    solid_hu: float
    coarse_hu: float
    fine_hu: float
    necrosis: float = 0.0
    necrosis_hu: float = 15.0
    scar: float = 0.0
    scar_hu: float = 40.0
    fat: float = 0.0
    fat_hu: float = -60.0
    rim_hu: float = 0.0
    calcified: bool = False

    @property
    def features(self) -> list[str]:
        """Names of what a reader could point at."""
        found = {
            "necrosis": self.necrosis > 0, "central_scar": self.scar > 0, "fat": self.fat > 0,
            "rim": self.rim_hu > 5, "calcification": self.calcified,
        }  # fmt: skip
        return [name for name, present in found.items() if present]


def _enhancement(rng: np.random.Generator, look: Look, phase: Phase, parameters: Parameters) -> float:
    """Solid tumor HU relative to its kidney's mean in a phase with contrast."""
    share = rng.uniform(*(look.arterial_of_kidney if phase == "arterial" else look.later_of_kidney))
    # A tumor as bright as its kidney could not be outlined by anyone.
    darkest, brightest = parameters.tumors["not_seen_of_kidney"]
    if darkest < share < brightest:
        share = darkest - rng.uniform(0, 0.1) if rng.uniform() < 0.55 else brightest + rng.uniform(0, 0.15)
    return float(share)


def _solid_hu(rng: np.random.Generator, look: Look, kidney_hu: float, phase: Phase, parameters: Parameters) -> float:
    """HU of the solid part."""
    if phase == "none":
        # Papillary carcinomas are the dense ones before contrast.
        dense = rng.uniform() < look.dense_unenhanced_share
        return float(kidney_hu + rng.uniform(*parameters.tumors[f"{'dense' if dense else 'faint'}_unenhanced_hu"]))
    if look.dark_share and rng.uniform() < look.dark_share:
        return float(rng.uniform(*look.dark_hu))
    return kidney_hu * _enhancement(rng, look, phase, parameters)


def draw_look(
    rng: np.random.Generator, subtype: str, kidney_hu: float, phase: Phase, diameter_mm: float,
    parameters: Parameters = PARAMETERS,
) -> TumorLook:  # fmt: skip
    """Draws an appearance bound to the subtype; ranges overlap, so that no single sign decides.

    Necrosis or cystic change marks most clear cell carcinomas, a scar most oncocytomas, fat most angiomyolipomas (their
    shares in smaller tumors differ); chromophobe carcinomas sometimes carry a scar, papillary ones necrosis.

    Args:
        rng: Source of randomness.
        subtype: KiTS19's name.
        kidney_hu: Mean HU of the parenchyma.
        phase: Contrast phase.
        diameter_mm: Size; small tumors have fewer signs.
        parameters: Ranges, among them those of every subtype's look.
    """
    look = parameters.looks[subtype]
    solid = _solid_hu(rng, look, kidney_hu, phase, parameters)
    small = diameter_mm < parameters.tumors["small_mm"]
    soft = 0.7 if phase == "none" else 1.0
    dark = min(solid - 18, rng.uniform(*parameters.tumors["necrosis_hu"])) if solid > 30 else solid - 24
    base = TumorLook(subtype, solid, 0.0, 0.0, necrosis_hu=dark, scar_hu=min(solid * 0.45, solid - 34))

    def often(share: float, bounds: Range) -> float:
        return float(rng.uniform(*bounds)) if rng.uniform() < share else 0.0

    if subtype == "clear_cell_rcc":
        mixed = rng.uniform() < look.necrosis_share
        return replace(
            base, coarse_hu=soft * rng.uniform(*(look.coarse_hu if mixed else look.even_coarse_hu)),
            fine_hu=soft * rng.uniform(*look.fine_hu),
            necrosis=rng.uniform(*(look.small_necrosis if small else look.necrosis)) if mixed else 0.0,
            rim_hu=often(look.rim_share, look.rim_hu), calcified=rng.uniform() < look.calcified_share,
        )  # fmt: skip
    if subtype == "papillary":
        return replace(
            base, coarse_hu=rng.uniform(*look.coarse_hu), fine_hu=rng.uniform(*look.fine_hu),
            necrosis=often(look.necrosis_share, look.necrosis), calcified=rng.uniform() < look.calcified_share,
            rim_hu=often(look.rim_share, look.rim_hu),
        )  # fmt: skip
    if subtype == "chromophobe":
        return replace(
            base, coarse_hu=rng.uniform(*look.coarse_hu), fine_hu=rng.uniform(*look.fine_hu),
            necrosis=often(look.necrosis_share, look.necrosis), scar=often(look.scar_share, look.scar),
            calcified=rng.uniform() < look.calcified_share,
        )  # fmt: skip
    if subtype == "oncocytoma":
        scarred = rng.uniform() < look.scar_share
        return replace(
            base, coarse_hu=rng.uniform(*look.coarse_hu), fine_hu=rng.uniform(*look.fine_hu),
            scar=rng.uniform(*(look.small_scar if small else look.scar)) if scarred else 0.0,
        )  # fmt: skip
    fatty = rng.uniform() < look.fat_share
    return replace(
        base, coarse_hu=soft * rng.uniform(*look.coarse_hu), fine_hu=soft * rng.uniform(*look.fine_hu),
        fat=rng.uniform(*(look.small_fat if small else look.fat)) if fatty else 0.0,
        fat_hu=rng.uniform(*look.fat_hu),
    )  # fmt: skip


def add_mass(shapes: Shapes, rng: np.random.Generator, diameter_mm: float, spine: NDArray[np.floating]) -> Shapes:
    """Adds a lumpy mass centered near the kidney's surface, from buried in it to standing out.

    Args:
        shapes: Kidneys (with a tumor or without).
        rng: Source of randomness.
        diameter_mm: Size, 8 to 150 mm.
        spine: (z, y, x) of the vertebra's center; the mass stays out of it.
    """
    surface = np.argwhere((np.abs(shapes.kidney) < 2.0) & (shapes.tumor > 3.0))
    if not len(surface):
        return shapes
    radius = diameter_mm / 2
    index = surface[int(rng.integers(len(surface)))]
    lo = np.maximum(index - 2, 0)
    patch = shapes.kidney[tuple(slice(a, b + 3) for a, b in zip(lo, index, strict=True))]
    normal = np.array([float(g.mean()) for g in np.gradient(patch)])
    normal /= max(float(np.linalg.norm(normal)), 1e-3)
    center = shapes.origin + index * np.array(shapes.spacing)
    center = center + normal * radius * rng.uniform(-0.75, 0.6)
    away = center[1:] - spine[1:]
    distance = float(np.linalg.norm(away))
    clearance = 24 + 0.75 * radius
    if distance < clearance:
        center[1:] += away / max(distance, 1.0) * (clearance - distance)
    grown = _room_for(shapes, center, radius * 1.75)  # stretched by 1.18, lumps of 3 x 0.16 on top
    z, y, x = (c - np.float32(m) for c, m in zip(grown.coordinates, center, strict=True))
    stretch = rng.uniform(0.85, 1.18, 3).astype(np.float32)
    mass = np.sqrt((z / stretch[0]) ** 2 + (y / stretch[1]) ** 2 + (x / stretch[2]) ** 2) - np.float32(radius)
    lump = smooth_noise(rng, grown.kidney.shape, grown.spacing, max(8.0, 0.8 * radius))
    mass = mass + np.float32(radius * rng.uniform(0.02, 0.16)) * lump
    _, yy, xx = grown.coordinates
    guard = 20 - np.sqrt((yy - spine[1]) ** 2 + (xx - spine[2]) ** 2)
    mass = np.clip(np.maximum(mass, guard), -4 * REACH_MM, 2 * REACH_MM).astype(np.float32)
    return grown.with_fields(np.minimum(grown.kidney, mass), np.minimum(grown.tumor, mass))


def _room_for(shapes: Shapes, center: NDArray[np.floating], radius: float) -> Shapes:
    """Enlarges the coarse grid so that a sphere fits."""
    spacing = np.array(shapes.spacing)
    last = shapes.origin + (np.array(shapes.kidney.shape) - 1) * spacing
    before = np.maximum(0, np.ceil((shapes.origin - (center - radius)) / spacing)).astype(int)
    after = np.maximum(0, np.ceil((center + radius - last) / spacing)).astype(int)
    if not (before.any() or after.any()):
        return shapes
    pads = list(zip(before.tolist(), after.tolist(), strict=True))
    kidney, tumor = (np.pad(f, pads, constant_values=2 * REACH_MM) for f in (shapes.kidney, shapes.tumor))
    return Shapes(shapes.origin - before * spacing, shapes.spacing, kidney, tumor)


def paint_tumor(canvas: Canvas, bounds: Bounds, depth: Floats, mask: NDArray[np.bool_], look: TumorLook) -> Floats:
    """Paints one tumor's tissues and returns its HU.

    Args:
        canvas: The volume.
        bounds: Index box of the tumor.
        depth: Depth below the tumor's surface in mm inside the box.
        mask: The tumor's voxels inside the box.
        look: Its appearance.

    Returns:
        HU in the box (meaningful where `mask` holds).
    """
    rng = canvas.rng
    spacing = canvas.grid.spacing
    radius = max(float(depth[mask].max()), 3.0)
    coarse = smooth_noise(rng, depth.shape, spacing, float(np.clip(0.7 * radius, 6, 22)))
    medium = smooth_noise(rng, depth.shape, spacing, float(np.clip(0.4 * radius, 5, 9)))
    fine = rng.standard_normal(depth.shape, dtype=np.float32)
    fine = ndimage.uniform_filter(fine, (1, 3, 3)) * 3
    hu = look.solid_hu + look.coarse_hu * (0.75 * coarse + 0.5 * medium) + look.fine_hu * fine
    view = canvas.tissue[bounds]
    view[mask] = Tissue.TUMOR_SOLID
    if look.rim_hu:
        hu[depth < 2.2] += look.rim_hu
    if look.necrosis:
        # Necrosis lies where blood does not reach: inside.
        score = coarse + 0.35 * medium + 1.3 * np.clip(depth / radius, 0, 1)
        inner = mask & (depth > min(2.0, 0.2 * radius))
        value = look.necrosis_hu + 5 * medium + 3 * fine
        _blend(view, hu, inner, score, (look.necrosis, rng.uniform(0.05, 0.7)), value, Tissue.TUMOR_NECROSIS)
    if look.fat:
        value = np.clip(look.fat_hu + 10 * coarse + 5 * fine, -120, -15)
        _blend(view, hu, mask, 0.7 * medium + 0.8 * coarse, (look.fat, rng.uniform(0.05, 0.4)), value, Tissue.TUMOR_FAT)
    if look.scar:
        scar = _stellate(canvas, bounds, depth, mask, look.scar * radius)
        view[scar] = Tissue.TUMOR_SCAR
        hu[scar] = look.scar_hu + 4 * medium[scar] + 2 * fine[scar]
    if look.calcified:
        stones = mask & (medium * coarse > rng.uniform(2.2, 3.0))
        view[stones] = Tissue.TUMOR_CALCIFICATION
        hu[stones] = rng.uniform(180, 550)
    return np.asarray(hu, dtype=np.float32)


def _blend(
    view: NDArray[np.uint8], hu: Floats, mask: NDArray[np.bool_], score: Floats, share_and_width: tuple[float, float],
    value: Floats, tissue: Tissue,
) -> None:  # fmt: skip
    """Gives the share of `mask` with the highest scores a tissue and, over a soft edge, its HU."""
    if not mask.any():
        return
    share, width = share_and_width
    excess = score - np.quantile(score[mask], 1 - share)
    view[mask & (excess > 0)] = tissue
    weight = np.where(mask, np.clip(excess / np.float32(width) + 0.5, 0, 1), 0)
    hu += weight * (value - hu)


def _stellate(
    canvas: Canvas, bounds: Bounds, depth: Floats, mask: NDArray[np.bool_], radius: float
) -> NDArray[np.bool_]:
    """A star around the tumor's middle: a core with arms."""
    rng = canvas.rng
    weight = np.where(mask, np.clip(depth, 0, None) ** 3, 0)
    axes = [a[b] for a, b in zip(canvas.grid.axes, bounds, strict=True)]
    total = float(weight.sum()) or 1.0
    center = np.array(
        [
            float((weight.sum(axis=tuple(k for k in range(3) if k != axis)) * axes[axis]).sum()) / total
            for axis in range(3)
        ]
    )
    z, y, x = canvas.grid.local(bounds, center)
    # Scars are discs and columns more than balls: stretched along z, so that more than the middle slice shows one.
    distance = np.sqrt(0.3 * z * z + y * y + x * x)
    angle = np.arctan2(y, x)
    arms = int(rng.integers(3, 7))
    wave = np.cos(arms * angle + rng.uniform(0, 6.28) + 0.03 * z + 0.5 * canvas.ripple[bounds])
    return np.asarray(mask & (distance < radius * (0.4 + 0.7 * np.clip(wave, 0, 1) ** 2)))
