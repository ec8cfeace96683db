"""From kidney shapes to kidney tissues: cortex, medulla, sinus, cysts, renal vessels and perirenal fat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nephro_monai.phantom.canvas import Bounds, Canvas, smooth_noise
from nephro_monai.phantom.layout import Layout
from nephro_monai.phantom.parameters import Range
from nephro_monai.phantom.shapes import Shapes, hull_depth
from nephro_monai.phantom.tissues import Tissue

__all__ = ["KidneyFields", "add_cysts", "paint_kidneys", "paint_renal_vessels", "resample_shapes"]

Floats = NDArray[np.float32]
_YIELDING = (
    Tissue.LIVER, Tissue.SPLEEN, Tissue.PANCREAS, Tissue.GALLBLADDER, Tissue.STOMACH_WALL, Tissue.STOMACH_CONTENT,
    Tissue.BOWEL_WALL, Tissue.BOWEL_FLUID, Tissue.BOWEL_FOOD, Tissue.BOWEL_GAS, Tissue.BOWEL_CONTRAST, Tissue.FECES,
    Tissue.ADRENAL, Tissue.VEIN, Tissue.ARTERY, Tissue.LUNG, Tissue.HEART, Tissue.PORTAL_VEIN,
)  # fmt: skip
"""Tissues that give way to perirenal fat."""


@dataclass(frozen=True)
class KidneyFields:
    """Shapes on the scan's own grid.

    Attributes:
        bounds: Index box of the fields.
        kidney: Signed distance to kidney with tumor in mm (negative inside).
        tumor: The same to the tumor.
        depth: Depth below the surface of the kidney's hull in mm.
    """

    bounds: Bounds
    kidney: Floats
    tumor: Floats
    depth: Floats


def _weights(origin: float, spacing: float, count: int, target: Floats) -> Floats:
    """Matrix of linear interpolation along one axis."""
    at = np.clip((target - origin) / spacing, 0, count - 1)
    low = np.minimum(at.astype(int), count - 2)
    matrix = np.zeros((len(target), count), np.float32)
    rows = np.arange(len(target))
    matrix[rows, low] = 1 - (at - low)
    matrix[rows, low + 1] = at - low
    return matrix


def resample_shapes(shapes: Shapes, canvas: Canvas, closing_mm: float) -> KidneyFields | None:
    """Interpolates coarse shapes onto the scan's grid; None where the scan shows none of them."""
    size = (np.array(shapes.kidney.shape) - 1) * np.array(shapes.spacing)
    bounds = canvas.grid.bounds(shapes.origin, shapes.origin + size)
    if bounds is None:
        return None
    z, y, x = (
        _weights(float(o), s, n, a[b])
        for o, s, n, a, b in zip(
            shapes.origin, shapes.spacing, shapes.kidney.shape, canvas.grid.axes, bounds, strict=True
        )
    )
    fields = []
    for coarse in (shapes.kidney, shapes.tumor, hull_depth(shapes, closing_mm)):
        field = np.tensordot(z, coarse, axes=(1, 0))
        field = np.matmul(y, field)
        fields.append(np.matmul(field, x.T))
    return KidneyFields(bounds, *fields)


def paint_kidneys(canvas: Canvas, fields: KidneyFields) -> None:
    """Clears room around the kidneys and paints their tissues (tumors follow separately).

    Kidneys are painted over everything; what a label map calls kidney stays kidney.
    """
    rng = canvas.rng
    bounds = fields.bounds
    view = canvas.tissue[bounds]
    ripple, wobble = canvas.ripple[bounds], canvas.wobble[bounds]
    kidney = fields.kidney < 0
    widest = rng.uniform(0, 14) if rng.uniform() < 0.7 else rng.uniform(0, 2.5)
    # Organs lie in front of a kidney, fat behind it.
    y = canvas.grid.axes[1][bounds[1]]
    middle = float(np.median(y[np.nonzero(kidney)[1]])) if kidney.any() else 0.0
    behind = np.clip((y - middle) / 15, 0, 1)[None, :, None] * np.float32(rng.uniform(0, 14))
    near = fields.kidney < widest * np.clip(0.75 + 0.5 * wobble, 0, 2) + behind
    near |= fields.depth > 0
    soft = np.zeros(256, bool)
    soft[list(_YIELDING)] = True
    view[near & soft[view]] = Tissue.VISCERAL_FAT
    wall = np.zeros(256, bool)
    wall[[Tissue.MUSCLE, Tissue.SUBCUTANEOUS_FAT]] = True
    view[(fields.kidney < rng.uniform(0, 3.5)) & wall[view]] = Tissue.VISCERAL_FAT
    _fascia(canvas, fields, view, ripple)
    _sinus(canvas, fields, view, kidney)
    thickness = rng.uniform(4, 9)
    view[kidney] = Tissue.KIDNEY_MEDULLA
    # Cortex dips between the pyramids.
    septum = smooth_noise(rng, view.shape, canvas.grid.spacing, rng.uniform(13, 20))
    cortex = kidney & (fields.depth < thickness + 1.2 * ripple)
    cortex |= kidney & (septum > rng.uniform(-0.1, 0.8))
    view[cortex] = Tissue.KIDNEY_CORTEX


def _fascia(canvas: Canvas, fields: KidneyFields, view: NDArray[np.uint8], ripple: Floats) -> None:
    """Gerota's fascia and strands in the perirenal fat."""
    rng = canvas.rng
    fat = view == Tissue.VISCERAL_FAT
    half = 0.32 * canvas.grid.spacing[1]
    if rng.uniform() < 0.7:
        shell = np.abs(fields.kidney - rng.uniform(8, 17) - 2.5 * ripple) < half
        view[fat & shell & (fields.tumor > 4)] = Tissue.FASCIA
    if rng.uniform() < 0.7:
        strand = np.abs(ripple + 0.05 * fields.kidney) < rng.uniform(0.01, 0.05)
        view[fat & strand & (fields.kidney < 16)] = Tissue.FASCIA


def _sinus(canvas: Canvas, fields: KidneyFields, view: NDArray[np.uint8], kidney: NDArray[np.bool_]) -> None:
    rng = canvas.rng
    sinus = ~kidney & (fields.depth > 0.5) & (fields.tumor > 0)
    view[sinus] = Tissue.SINUS_FAT
    branch = smooth_noise(rng, view.shape, canvas.grid.spacing, 10.0)
    wide = rng.uniform(0.1, 0.9) if rng.uniform() < 0.85 else rng.uniform(1.2, 2.5)
    view[sinus & (np.abs(branch) < 0.5 * wide) & (fields.depth > 3)] = Tissue.COLLECTING_SYSTEM
    view[sinus & (branch > rng.uniform(0.8, 1.4))] = Tissue.VEIN
    view[sinus & (branch < -rng.uniform(1.2, 1.8))] = Tissue.ARTERY


def add_cysts(canvas: Canvas, shapes: Shapes, count: int, diameter_mm: Range) -> int:
    """Paints simple cysts on the kidneys; KiTS19 counts them as kidney. Returns how many the scan shows.

    Args:
        canvas: The volume.
        shapes: Kidneys and tumors.
        count: Cysts.
        diameter_mm: Bounds, drawn from log-uniformly.
    """
    smallest, largest = diameter_mm
    rng = canvas.rng
    surface = np.argwhere((shapes.kidney < 1) & (shapes.kidney > -8) & (shapes.tumor > 10))
    shown = 0
    for _ in range(count if len(surface) else 0):
        center = shapes.origin + surface[int(rng.integers(len(surface)))] * np.array(shapes.spacing)
        radius = float(np.exp(rng.uniform(np.log(smallest / 2), np.log(largest / 2))))
        found = canvas.ellipsoid(center, radius * rng.uniform(0.9, 1.1, 3), None, 0.08)
        if found is None:
            continue
        over = (Tissue.KIDNEY_CORTEX, Tissue.KIDNEY_MEDULLA, Tissue.VISCERAL_FAT, Tissue.SINUS_FAT, Tissue.FASCIA)
        canvas.paint(found[0], found[1] < 1, Tissue.KIDNEY_CYST, over)
        shown += 1
    return shown


def paint_renal_vessels(canvas: Canvas, layout: Layout, shapes: Shapes) -> None:
    """Renal artery, vein and ureter of each kidney, before the kidneys cover their ends."""
    rng = canvas.rng
    inside = np.argwhere((shapes.kidney < -2) & (shapes.tumor > 0))
    if not len(inside):
        return
    points = (shapes.origin + inside * np.array(shapes.spacing) - layout.spine) @ layout.turn
    ahead = layout.vertebra[0] + 10
    for side in (-1, 1):
        own = points[points[:, 2] * side > 12]
        if len(own) < 200:
            continue
        middle = own.mean(axis=0)
        hilum = middle - np.array([0, 0.2, side]) * rng.uniform(0, 10)
        start = np.array([middle[0] + rng.uniform(-12, 5), -ahead, 5.0])
        knee = np.array([0.5 * (start[0] + hilum[0]), 0.5 * (start[1] + hilum[1]) - 6, 0.45 * hilum[2]])
        vessels = (
            (Tissue.ARTERY, np.zeros(3), rng.uniform(2.0, 3.4)),
            (Tissue.VEIN, np.array([5, -7, -6.0 * side]), rng.uniform(3.5, 6)),
        )
        for tissue, shift, radius in vessels:
            path = np.stack([start + shift, knee + 0.8 * shift, hilum + 0.2 * shift])
            _paint_tube(canvas, layout, path, np.array([radius, radius, 0.8 * radius]), tissue)
        ureter = np.stack([hilum, hilum + np.array([30, 4, -side * 14.0]), [hilum[0] + 140, 4, side * 34.0]])
        _paint_tube(canvas, layout, ureter, np.array([4, 2.2, 1.8]), Tissue.COLLECTING_SYSTEM)


def _paint_tube(canvas: Canvas, layout: Layout, path: NDArray, radii: NDArray, tissue: Tissue) -> None:
    found = canvas.tube(layout.places(path), radii)
    if found is not None:
        canvas.paint(found[0], found[1] < 0, tissue, (Tissue.VISCERAL_FAT, Tissue.MUSCLE))
