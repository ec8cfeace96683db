"""What the page's slice viewer is drawn from: pictures, outlines and positions of the slices it shows."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

from nephro_monai.constants import BACKGROUND, COLORIZATION_WINDOW_HU, TUMOR
from nephro_monai.reporting.case_view import CaseView
from nephro_monai.reporting.outlines import SVG_UNITS_PER_PIXEL, mask_outlines, svg_path
from nephro_monai.reporting.pictures import choose_slices, fitted_size, jpeg, window_to_gray

__all__ = ["STORED_WINDOW_HU", "WINDOWS_HU", "SliceViewer", "build_viewer"]

STORED_WINDOW_HU = (-200.0, 500.0)
"""What the embedded pictures hold; the page's windows are cut out of it."""

WINDOWS_HU: dict[str, tuple[float, float]] = {
    "Abdomen": COLORIZATION_WINDOW_HU,
    "Kidney": (-40.0, 280.0),
    "Wide": STORED_WINDOW_HU,
}
"""Windows the page offers, the first one at the start."""

_LONGEST_PIXELS = 384
_PICTURE_BYTES = 2_600_000
_QUALITIES = (85, 78, 70, 60, 50, 40)


@dataclass(frozen=True)
class SliceViewer:
    """The embedded slices of one report.

    Attributes:
        slices: Per slice: index `z`, file's own index `n`, position `mm`, JPEG as base64 `img`, outline paths of
            kidney with tumor `k` and of tumor `t` (SVG, see `view_box`).
        scan_slices: Slices of the whole scan.
        start: Place in `slices` that the page opens with: the largest tumor, else the most kidney.
        width: Picture width in pixels.
        height: Picture height in pixels.
        view_box: SVG viewBox of the outlines.
        tumors: Per tumor: its name, slice range and where its name stands (outline units).
    """

    slices: list[dict[str, Any]]
    scan_slices: int
    start: int
    width: int
    height: int
    view_box: str
    tumors: list[dict[str, Any]]

    def nearest(self, z: int) -> int:
        """Place in `slices` of the shown slice nearest to scan slice `z`."""
        return int(np.argmin([abs(entry["z"] - z) for entry in self.slices]))

    @property
    def zones(self) -> dict[str, list[tuple[float, float]]]:
        """Runs of shown slices with kidney and with tumor, as (start, length) in percent of the slider."""
        return {
            name: _runs([bool(entry[key]) for entry in self.slices]) for name, key in (("kidney", "k"), ("tumor", "t"))
        }


def build_viewer(view: CaseView, wanted: list[int], maximum: int = 120) -> SliceViewer:
    """Encodes the slices that a report shows.

    Args:
        view: The case.
        wanted: Slices that must be shown.
        maximum: Slices on the page.
    """
    marked, _ = view.marked_slices()
    indices = choose_slices(view.shape[2], marked, wanted, maximum)
    size = fitted_size((view.shape[1], view.shape[0]), (view.spacing_mm[1], view.spacing_mm[0]), _LONGEST_PIXELS)
    has_label = set(marked)
    start = _start(view, marked)
    quality = _quality(view, start, size, len(indices))
    slices = [_entry(view, z, size, quality, z in has_label) for z in indices]
    viewer = SliceViewer(
        slices=slices, scan_slices=view.shape[2], start=0, width=size[0], height=size[1],
        view_box=f"0 0 {view.shape[0] * SVG_UNITS_PER_PIXEL} {view.shape[1] * SVG_UNITS_PER_PIXEL}",
        tumors=_tumor_names(view),
    )  # fmt: skip
    return SliceViewer(**{**vars(viewer), "start": viewer.nearest(start)})


def _entry(view: CaseView, z: int, size: tuple[int, int], quality: int, has_label: bool) -> dict[str, Any]:
    hu, labels = view.axial(z)
    picture = jpeg(window_to_gray(hu, STORED_WINDOW_HU), size, quality)
    return {
        "z": z,
        "n": view.native_index(z),
        "mm": round(view.position_mm(z), 1),
        "img": base64.b64encode(picture).decode("ascii"),
        "k": svg_path(mask_outlines(labels > BACKGROUND)) if has_label else "",
        "t": svg_path(mask_outlines(labels == TUMOR)) if has_label else "",
    }


def _quality(view: CaseView, z: int, size: tuple[int, int], count: int) -> int:
    """The best JPEG quality that keeps the page small, judged by one slice: noise decides the size."""
    pixels = window_to_gray(view.axial(z)[0], STORED_WINDOW_HU)
    for quality in _QUALITIES:
        if len(jpeg(pixels, size, quality)) * count <= _PICTURE_BYTES:
            return quality
    return _QUALITIES[-1]


def _start(view: CaseView, marked: list[int]) -> int:
    if view.tumors:
        return (view.tumors[0].box.zmin + view.tumors[0].box.zmax) // 2
    return marked[len(marked) // 2] if marked else view.shape[2] // 2


def _tumor_names(view: CaseView) -> list[dict[str, Any]]:
    """Names stand at the upper right corner of the tumor's box; columns run to the patient's left."""
    columns, rows = view.shape[0], view.shape[1]
    return [
        {
            "name": f"T{tumor.index}", "z0": tumor.box.zmin, "z1": tumor.box.zmax,
            "x": (columns - tumor.box.xmin) * SVG_UNITS_PER_PIXEL, "y": (rows - tumor.box.ymax) * SVG_UNITS_PER_PIXEL,
        }
        for tumor in view.tumors
    ]  # fmt: skip


def _runs(flags: list[bool]) -> list[tuple[float, float]]:
    edges = np.flatnonzero(np.diff([False, *flags, False]))
    share = 100.0 / len(flags)
    return [(round(a * share, 2), round((b - a) * share, 2)) for a, b in edges.reshape(-1, 2).tolist()]
