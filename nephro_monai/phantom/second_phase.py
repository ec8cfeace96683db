"""The same patient in another contrast phase: the anatomy stays, the enhancement changes."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nephro_monai.phantom.acquisition import render_hu
from nephro_monai.phantom.canvas import Bounds, Canvas
from nephro_monai.phantom.contrast import draw_tissue_hu, parenchyma_hu
from nephro_monai.phantom.parameters import PARAMETERS, Parameters
from nephro_monai.phantom.tissues import PHASES, Phase, Tissue
from nephro_monai.phantom.tumors import TumorLook, draw_look, paint_tumor

__all__ = ["Painted", "PaintedTumor", "paint_second_phase"]


@dataclass(frozen=True)
class PaintedTumor:
    """One tumor as it was painted.

    Attributes:
        bounds: Index box in the volume.
        mask: Its voxels inside the box.
        depth: Depth below its surface in mm inside the box.
        look: Appearance in the first phase.
        diameter_mm: Size.
        rng: The generator as it was when its painting began.
    """

    bounds: Bounds
    mask: NDArray[np.bool_]
    depth: NDArray[np.float32]
    look: TumorLook
    diameter_mm: float
    rng: np.random.Generator


@dataclass(frozen=True)
class Painted:
    """What is needed to render a finished canvas again with the same textures.

    Attributes:
        tumors: In the order they were painted.
        rng: The generator as it was when rendering began.
    """

    tumors: tuple[PaintedTumor, ...]
    rng: np.random.Generator


def paint_second_phase(
    canvas: Canvas,
    painted: Painted,
    hu: dict[Tissue, float],
    phases: tuple[Phase, Phase],
    rng: np.random.Generator,
    parameters: Parameters = PARAMETERS,
) -> NDArray[np.float32]:
    """Ideal HU of a second phase on the same grid, without blur and noise.

    Tissues, textures and the places of necrosis, fat, scars and calcifications are those of the first phase; what
    enhances is drawn anew from the second phase's ranges, what does not (fat, bone, bowel content) keeps its HU.

    Args:
        canvas: Finished; not changed.
        painted: From the first phase.
        hu: Mean HU of every tissue in the first phase.
        phases: The first phase and the second.
        rng: Source of the second phase's own randomness.
        parameters: Ranges.

    Returns:
        float32 (slices, rows, columns).
    """
    first, second = (PHASES.index(phase) for phase in phases)
    drawn = draw_tissue_hu(rng, phases[1], parameters)
    enhanced = {
        tissue: hu[tissue] if ranges[first] == ranges[second] else drawn[tissue]
        for tissue, ranges in parameters.tissue_hu.items()
    }
    twin = copy.copy(canvas)
    twin.tissue = canvas.tissue.copy()
    overlays = []
    for tumor in painted.tumors:
        other = draw_look(rng, tumor.look.subtype, parenchyma_hu(enhanced), phases[1], tumor.diameter_mm, parameters)
        twin.rng = copy.deepcopy(tumor.rng)
        overlays.append(paint_tumor(twin, tumor.bounds, tumor.depth, tumor.mask, _enhanced(tumor.look, other)))
    twin.rng = copy.deepcopy(painted.rng)
    image = render_hu(twin, enhanced, phases[1], parameters)
    for tumor, values in zip(painted.tumors, overlays, strict=True):
        image[tumor.bounds][tumor.mask] = values[tumor.mask]
    return image


def _enhanced(look: TumorLook, other: TumorLook) -> TumorLook:
    """The first look's structure with the second's enhancement; dead tissue stays darker than living."""
    return replace(
        look,
        solid_hu=other.solid_hu,
        scar_hu=other.scar_hu,
        necrosis_hu=min(look.necrosis_hu, other.solid_hu - 18),
    )
