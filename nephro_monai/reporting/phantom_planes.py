"""Axial and coronal cuts of phantom cases as PNG pictures with outlines on top."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nephro_monai.constants import BACKGROUND, TUMOR
from nephro_monai.phantom import PhantomCase, Tissue
from nephro_monai.reporting.outlines import SVG_UNITS_PER_PIXEL, mask_outlines, svg_path
from nephro_monai.reporting.pictures import fitted_size, png_data_uri, window_to_gray
from nephro_monai.reporting.tissue_colors import paint_tissues

__all__ = ["ABDOMEN_WINDOW_HU", "Picture", "Plane", "body_planes", "draw_hu", "draw_tissues", "lesion_planes"]

ABDOMEN_WINDOW_HU = (-160.0, 260.0)
_LONGEST_PIXELS = 440


@dataclass(frozen=True)
class Plane:
    """A cut through a volume in KiTS19's axes (slices to inferior, rows to posterior, columns to the patient's left).

    Attributes:
        name: "axial" or "coronal".
        index: Slice or row.
        rows: Shown rows of the cut.
        columns: Shown columns of the cut.
    """

    name: str
    index: int
    rows: slice
    columns: slice

    def of(self, volume: NDArray) -> NDArray:
        """The cut, rows to posterior or inferior and columns to the patient's left."""
        cut = volume[self.index] if self.name == "axial" else volume[:, self.index]
        return np.asarray(cut[self.rows, self.columns])


@dataclass(frozen=True)
class Picture:
    """A cut for a page.

    Attributes:
        uri: PNG as a data URI.
        alt: What it shows, in words.
        width: In pixels, which are square.
        height: In pixels.
        view_box: Of the outlines.
        kidney: SVG path around kidneys with tumors; empty where outlines are not wanted.
        tumor: SVG path around tumors.
    """

    uri: str
    alt: str
    width: int
    height: int
    view_box: str
    kidney: str = ""
    tumor: str = ""


def spacing_mm(case: PhantomCase) -> tuple[float, float, float]:
    """Thickness, row and column spacing of a case."""
    voxel = case.record["voxel_spacing"]
    return float(voxel["z_spacing"]), float(voxel["y_spacing"]), float(voxel["x_spacing"])


def body_planes(case: PhantomCase, focus: NDArray[np.bool_] | None = None) -> tuple[Plane, Plane]:
    """The whole body, axial and coronal, where most of something shows.

    Args:
        case: The case.
        focus: (slices, rows, columns) of what should show; by default a tumor, or the kidneys without one.
    """
    shown = focus if focus is not None and focus.any() else _focus(case)
    body = (case.tissues != Tissue.AIR) & (case.tissues != Tissue.TABLE)
    _, rows, columns = (_extent(body, axis, 4) for axis in range(3))
    whole = slice(0, case.label.shape[0])
    return Plane("axial", _fullest(shown, 0), rows, columns), Plane("coronal", _fullest(shown, 1), whole, columns)


def lesion_planes(case: PhantomCase, margin_mm: float, least_mm: float, side: int = 0) -> tuple[Plane, Plane]:
    """Square cuts around the largest part of the tumor, or of the kidneys in a case without one.

    Args:
        case: The case.
        margin_mm: From the lesion to the edge of the cut.
        least_mm: Side of the cut at least.
        side: -1 or 1 leaves out the patient's other side; 0 leaves out none.
    """
    shown = _focus(case)
    middle = shown.shape[2] // 2
    if side:
        shown = shown.copy()
        shown[:, :, middle:] &= side > 0
        shown[:, :, :middle] &= side < 0
    spacing = np.array(spacing_mm(case))
    center = np.array([_fullest(shown, axis) for axis in range(3)])
    extents = [_extent(shown, axis, 0) for axis in range(3)]
    reach = max((e.stop - e.start) * s for e, s in zip(extents, spacing, strict=True)) / 2 + margin_mm
    reach = max(reach, least_mm / 2)
    z, rows, columns = (
        slice(max(0, round(c - reach / s)), min(n, round(c + reach / s) + 1))
        for c, s, n in zip(center, spacing, shown.shape, strict=True)
    )
    return Plane("axial", int(center[0]), rows, columns), Plane("coronal", int(center[1]), z, columns)


def draw_hu(
    case: PhantomCase,
    hu: NDArray,
    plane: Plane,
    window_hu: tuple[float, float] = ABDOMEN_WINDOW_HU,
    outlined: bool = True,
) -> Picture:
    """Gray picture of a cut through HU on the case's grid."""
    pixels = window_to_gray(plane.of(hu), window_hu)
    alt = f"Synthetic CT, {plane.name}, window {window_hu[0]:.0f} to {window_hu[1]:.0f} HU"
    return _picture(case, pixels, plane, alt, outlined)


def draw_tissues(case: PhantomCase, tissues: NDArray[np.uint8], plane: Plane) -> Picture:
    """Colored picture of a cut through a tissue map on the case's grid."""
    return _picture(case, paint_tissues(plane.of(tissues)), plane, f"Tissues, {plane.name}", False)


def _picture(case: PhantomCase, pixels: NDArray[np.uint8], plane: Plane, alt: str, outlined: bool) -> Picture:
    thickness, row, column = spacing_mm(case)
    pixel_mm = (row if plane.name == "axial" else thickness, column)
    shape = (pixels.shape[0], pixels.shape[1])
    width, height = fitted_size(shape, pixel_mm, _LONGEST_PIXELS)
    view_box = f"0 0 {shape[1] * SVG_UNITS_PER_PIXEL} {shape[0] * SVG_UNITS_PER_PIXEL}"
    kidney = tumor = ""
    if outlined:
        labels = plane.of(case.label)
        kidney, tumor = svg_path(mask_outlines(labels > BACKGROUND)), svg_path(mask_outlines(labels == TUMOR))
    return Picture(png_data_uri(pixels, (width, height)), alt, width, height, view_box, kidney, tumor)


def _focus(case: PhantomCase) -> NDArray[np.bool_]:
    tumor = case.label == TUMOR
    return tumor if tumor.any() else case.label > BACKGROUND


def _fullest(mask: NDArray[np.bool_], axis: int) -> int:
    """Index along an axis where a mask has most voxels; the middle where it has none."""
    counts = mask.sum(axis=tuple({0, 1, 2} - {axis}))
    return int(counts.argmax()) if counts.any() else mask.shape[axis] // 2


def _extent(mask: NDArray[np.bool_], axis: int, margin: int) -> slice:
    """Range of a mask along an axis, with a margin in voxels."""
    inside = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
    if not len(inside):
        return slice(0, mask.shape[axis])
    return slice(max(0, int(inside[0]) - margin), min(mask.shape[axis], int(inside[-1]) + 1 + margin))
