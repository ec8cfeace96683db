"""What the page's slice viewer is drawn from: pictures, outlines and positions of the slices it shows."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

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
_AIR_HU = -300.0
_COARSE = 4
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
        tumors: Per tumor: its name, slice range and where its name stands (percent of width and height).
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
    window = _body_window(view, indices)
    shape = window[0].stop - window[0].start, window[1].stop - window[1].start
    size = fitted_size(shape, (view.spacing_mm[1], view.spacing_mm[0]), _LONGEST_PIXELS)
    start = _start(view, marked)
    picture = _Picture(window, size, _quality(view, start, window, size, len(indices)))
    has_label = set(marked)
    slices = [_entry(view, z, picture, z in has_label) for z in indices]
    origin_and_extent = (window[1].start, window[0].start, shape[1], shape[0])
    return SliceViewer(
        slices=slices,
        scan_slices=view.shape[2],
        start=int(np.argmin([abs(z - start) for z in indices])),
        width=size[0],
        height=size[1],
        view_box=" ".join(str(n * SVG_UNITS_PER_PIXEL) for n in origin_and_extent),
        tumors=_tumor_names(view, window),
    )


@dataclass(frozen=True)
class _Picture:
    """How slices become pictures: rows and columns, (width, height), JPEG quality."""

    window: tuple[slice, slice]
    size: tuple[int, int]
    quality: int


def _body_window(view: CaseView, indices: list[int]) -> tuple[slice, slice]:
    """Rows and columns of the slices that hold the body and every label; the whole slice if there is no body."""
    coarse = view.image[0, ::_COARSE, ::_COARSE][:, :, indices] > _AIR_HU
    labeled = view.labels[0].amax(dim=2) > BACKGROUND
    ranges = []
    for axis in (1, 0):
        inside = coarse.float().mean(dim=1 - axis).amax(dim=1) > 0.02
        places = torch.cat([inside.nonzero()[:, 0] * _COARSE, labeled.any(dim=1 - axis).nonzero()[:, 0]])
        length = view.shape[axis]
        low, high = (int(places.min()), int(places.max()) + 1) if len(places) else (0, length)
        low, high = max(0, low - 2 * _COARSE), min(length, high + 2 * _COARSE)
        # Rows run to posterior and columns to the patient's left, against the volume's axes.
        ranges.append(slice(length - high, length - low))
    return ranges[0], ranges[1]


def _entry(view: CaseView, z: int, picture: _Picture, has_label: bool) -> dict[str, Any]:
    hu, labels = view.axial(z)
    encoded = jpeg(window_to_gray(hu[picture.window], STORED_WINDOW_HU), picture.size, picture.quality)
    return {
        "z": z,
        "n": view.native_index(z),
        "mm": round(view.position_mm(z), 1),
        "img": base64.b64encode(encoded).decode("ascii"),
        "k": svg_path(mask_outlines(labels > BACKGROUND)) if has_label else "",
        "t": svg_path(mask_outlines(labels == TUMOR)) if has_label else "",
    }


def _quality(view: CaseView, z: int, window: tuple[slice, slice], size: tuple[int, int], count: int) -> int:
    """The best JPEG quality that keeps the page small, judged by one slice: noise decides the size."""
    pixels = window_to_gray(view.axial(z)[0][window], STORED_WINDOW_HU)
    for quality in _QUALITIES:
        if len(jpeg(pixels, size, quality)) * count <= _PICTURE_BYTES:
            return quality
    return _QUALITIES[-1]


def _start(view: CaseView, marked: list[int]) -> int:
    if view.tumors:
        return (view.tumors[0].box.zmin + view.tumors[0].box.zmax) // 2
    return marked[len(marked) // 2] if marked else view.shape[2] // 2


def _tumor_names(view: CaseView, window: tuple[slice, slice]) -> list[dict[str, Any]]:
    """Names stand at the upper right corner of the tumor's box; columns run to the patient's left."""
    rows, columns = window
    return [
        {
            "name": f"T{tumor.index}",
            "z0": tumor.box.zmin,
            "z1": tumor.box.zmax,
            "x": _percent(view.shape[0] - tumor.box.xmin, columns),
            "y": _percent(view.shape[1] - tumor.box.ymax, rows),
        }
        for tumor in view.tumors
    ]


def _percent(place: int, along: slice) -> float:
    return round(100 * (place - along.start) / (along.stop - along.start), 1)


def _runs(flags: list[bool]) -> list[tuple[float, float]]:
    edges = np.flatnonzero(np.diff([False, *flags, False]))
    share = 100.0 / len(flags)
    return [(round(a * share, 2), round((b - a) * share, 2)) for a, b in edges.reshape(-1, 2).tolist()]
