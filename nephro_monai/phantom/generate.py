"""One synthetic case, from its seed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nephro_monai.constants import TUMOR
from nephro_monai.errors import TrainingDataError
from nephro_monai.phantom.acquisition import acquire, render_hu
from nephro_monai.phantom.body import paint_body
from nephro_monai.phantom.canvas import Bounds, Canvas
from nephro_monai.phantom.config import PhantomConfig
from nephro_monai.phantom.contrast import draw_tissue_hu, parenchyma_hu
from nephro_monai.phantom.kidneys import (
    KidneyFields,
    add_cysts,
    paint_kidneys,
    paint_renal_vessels,
    resample_shapes,
)
from nephro_monai.phantom.layout import lay_out
from nephro_monai.phantom.organs import paint_organs
from nephro_monai.phantom.parameters import Parameters
from nephro_monai.phantom.plan import Plan, draw_plan
from nephro_monai.phantom.records import Findings, case_record, kits_affine
from nephro_monai.phantom.scene import Scene, build_scene
from nephro_monai.phantom.second_phase import Painted, PaintedTumor, paint_second_phase
from nephro_monai.phantom.tissues import LABEL_OF_TISSUE, Tissue
from nephro_monai.phantom.tumors import draw_look, paint_tumor

__all__ = ["PhantomCase", "Watch", "generate_case"]

_ATTEMPTS = 6
_SECOND_PHASE_SEED = 2

Watch = Callable[[str, NDArray[np.uint8]], None]
"""Called after every part that paints, with its name and the tissues so far (copy them to keep them)."""


@dataclass(frozen=True)
class PhantomCase:
    """A synthetic scan in KiTS19's axes: slices to inferior, rows to posterior, columns to the patient's left.

    Attributes:
        image: int16 HU, (slices, rows, columns).
        label: uint8, 0 background, 1 kidney, 2 tumor.
        tissues: uint8 `Tissue` ids.
        ideal_hu: float32 HU before blur and noise; None unless asked for.
        second_image: int16 HU of the second contrast phase on the same grid; None unless the config names one.
        affine: 4x4 voxel-to-RAS matrix (mm), axis codes I-P-L.
        record: KiTS19's clinical record plus "synthetic" and "phantom".
    """

    image: NDArray[np.int16]
    label: NDArray[np.uint8]
    tissues: NDArray[np.uint8]
    affine: NDArray[np.float64]
    record: dict[str, Any]
    ideal_hu: NDArray[np.float32] | None = None
    second_image: NDArray[np.int16] | None = None


def _unwatched(part: str, tissues: NDArray[np.uint8]) -> None:
    """Looks away."""


def generate_case(
    config: PhantomConfig,
    seed: int | Sequence[int],
    case_id: str = "case_00000",
    keep_ideal: bool = False,
    watch: Watch = _unwatched,
) -> PhantomCase:
    """Makes one case; the same config and seed give the same voxels.

    Args:
        config: What to make.
        seed: Any non-negative integer or sequence of them (for example cohort seed and case index).
        case_id: Name in the record.
        keep_ideal: Whether to return the HU before acquisition too.
        watch: Sees the tissues after the parts "body", "renal vessels", "organs", "kidneys", "cysts" and "tumors"; from
            the start again where an attempt showed no tumor.

    Raises:
        TrainingDataError: If the label map cannot be used.
    """
    parameters = config.parameters
    words = [seed] if isinstance(seed, int) else list(seed)
    for attempt in range(_ATTEMPTS):
        rng = np.random.default_rng([*words, attempt])
        plan = draw_plan(config, rng)
        scene = build_scene(config, plan, rng)
        canvas, fields = _paint_anatomy(scene, plan, rng, watch)
        hu = draw_tissue_hu(rng, plan.phase, parameters)
        cysts = add_cysts(canvas, scene.shapes, plan.cysts, parameters.cases["cyst_diameter_mm"])
        watch("cysts", canvas.tissue)
        ideal, painted = _paint_tumors(canvas, fields, plan, hu, parameters)
        watch("tumors", canvas.tissue)
        label = LABEL_OF_TISSUE[canvas.tissue]
        shown = int((label == TUMOR).sum()) * float(np.prod(scene.grid.spacing))
        wanted = plan.subtype is not None
        if (shown >= 60) == wanted and label.any():
            break
    else:
        raise TrainingDataError(
            f"No usable case from {config.label_map or 'procedural kidneys'} after {_ATTEMPTS} attempts: the tumor "
            "stays outside the field of view; use another label map, more slices or another seed."
        )
    image = acquire(ideal.copy() if keep_ideal else ideal, scene.grid, rng, plan.metal, parameters)
    second = None
    if config.second_phase is not None:
        # Random numbers of its own, so that the first scan is what it would be without a second.
        other = np.random.default_rng([*words, attempt, _SECOND_PHASE_SEED])
        phases = (plan.phase, config.second_phase)
        enhanced = paint_second_phase(canvas, painted, hu, phases, other, parameters)
        second = acquire(enhanced, scene.grid, other, plan.metal, parameters)
    looks, diameters = (tuple(getattr(t, name) for t in painted.tumors) for name in ("look", "diameter_mm"))
    found = Findings(scene.grid, label, looks, diameters, parenchyma_hu(hu), cysts, scene.special)
    record = case_record(case_id, words, config, plan, found)
    ideal_hu = ideal if keep_ideal else None
    return PhantomCase(image, label, canvas.tissue, kits_affine(scene.grid), record, ideal_hu, second)


def _paint_anatomy(
    scene: Scene, plan: Plan, rng: np.random.Generator, watch: Watch
) -> tuple[Canvas, KidneyFields | None]:
    layout = lay_out(scene.shapes, scene.spine, scene.yaw, scene.grid, rng)
    canvas = Canvas(scene.grid, rng)
    paint_body(canvas, layout)
    watch("body", canvas.tissue)
    paint_renal_vessels(canvas, layout, scene.shapes)
    watch("renal vessels", canvas.tissue)
    paint_organs(canvas, layout)
    watch("organs", canvas.tissue)
    fields = resample_shapes(scene.shapes, canvas, closing_mm=float(rng.uniform(7, 11)))
    if fields is not None:
        paint_kidneys(canvas, fields)
    watch("kidneys", canvas.tissue)
    return canvas, fields


def _within(outer: Bounds, inner: tuple[slice, ...]) -> Bounds:
    """Index box of the volume for an index box of a part of it."""
    z, y, x = (slice(o.start + i.start, o.start + i.stop) for o, i in zip(outer, inner, strict=True))
    return z, y, x


def _paint_tumors(
    canvas: Canvas, fields: KidneyFields | None, plan: Plan, hu: dict[Tissue, float], parameters: Parameters
) -> tuple[NDArray[np.float32], Painted]:
    """Paints every tumor, then renders the whole volume; tumors of one patient share the subtype."""
    tumors: list[PaintedTumor] = []
    overlays = []
    if fields is not None and plan.subtype is not None:
        parenchyma = parenchyma_hu(hu)
        components, _ = ndimage.label(fields.tumor < 0)
        voxel = float(np.prod(canvas.grid.spacing))
        for index, box in enumerate(ndimage.find_objects(components), start=1):
            mask = components[box] == index
            volume = float(mask.sum()) * voxel
            if volume < 15 and len(tumors):
                continue
            diameter = 2 * (volume * 0.239) ** (1 / 3)
            look = draw_look(canvas.rng, plan.subtype, parenchyma, plan.phase, diameter, parameters)
            bounds = _within(fields.bounds, box)
            tumor = PaintedTumor(bounds, mask, -fields.tumor[box], look, diameter, copy.deepcopy(canvas.rng))
            overlays.append(paint_tumor(canvas, bounds, tumor.depth, mask, look))
            tumors.append(tumor)
    painted = Painted(tuple(tumors), copy.deepcopy(canvas.rng))
    image = render_hu(canvas, hu, plan.phase, parameters)
    for tumor, values in zip(tumors, overlays, strict=True):
        image[tumor.bounds][tumor.mask] = values[tumor.mask]
    return image, painted
