"""One figure per case: slices with outlines, colorized crops with their votes, the verdict, the notices."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle

from nephro_monai.constants import BACKGROUND, COLORIZATION_WINDOW_HU, DISCLAIMER, TUMOR
from nephro_monai.reporting import findings
from nephro_monai.reporting.case_view import CaseView
from nephro_monai.reporting.outlines import mask_outlines
from nephro_monai.reporting.pictures import spread, window_to_gray

__all__ = ["draw_overview"]

_GROUND, _INK, _MUTED = "#0e1318", "#e6ecf2", "#9aa7b4"
_TONES = {"malignant": "#ff8078", "benign": "#62cfa0", "undetermined": "#eebd55"}
_KIDNEY, _TUMOR = "#22d3ee", "#ff4d4d"
_WIDTH_INCHES, _DPI = 14.0, 100
_HEADER_INCHES, _NOTICE_INCHES = 1.2, 0.45
_CROPS_INCHES, _NO_CROPS_INCHES = 2.15, 0.5
_PLANES_INCHES = (2.4, 5.0)
_AXIAL, _CORONAL = ("A", "L", "P", "R"), ("S", "L", "I", "R")
_MAXIMUM_CROPS = 8
_AIR_HU = -300.0
_WIDEST = 1.8
_INSET = 8.0


@dataclass(frozen=True)
class _Plane:
    """A picture with its outlines to be: HU, labels, pixel height over width, title and letters."""

    title: str
    hu: np.ndarray
    labels: np.ndarray
    aspect: float
    letters: tuple[str, str, str, str]

    @property
    def width(self) -> float:
        """Width over height of its place; a flat picture (few slices, coronal) must not crowd out the others."""
        return min(_WIDEST, self.hu.shape[1] / (self.hu.shape[0] * self.aspect))


def draw_overview(view: CaseView, path: Path, provenance: Mapping[str, Any] | None = None) -> None:
    """Draws the figure of one case.

    Args:
        view: The case.
        path: PNG file to write.
        provenance: By stage, what is known of its network; for the notice.
    """
    planes = _planes(view)
    heights = [_HEADER_INCHES, _planes_height(planes), _NO_CROPS_INCHES, _NOTICE_INCHES]
    if view.votes:
        heights[2] = _CROPS_INCHES
    figure = Figure(figsize=(_WIDTH_INCHES, sum(heights)), dpi=_DPI, facecolor=_GROUND)
    FigureCanvasAgg(figure)
    parts: list[SubFigure] = list(np.ravel(figure.subfigures(4, 1, height_ratios=heights, hspace=0)))  # type: ignore[arg-type]
    for part in parts:
        part.set_facecolor(_GROUND)
    header, middle, crops, notice = parts
    _draw_header(header, view)
    _draw_planes(middle, planes)
    _draw_crops(crops, view)
    text = " ".join([DISCLAIMER, *findings.training_notices(provenance)])
    notice.text(0.5, 0.5, text, ha="center", va="center", color=_TONES["undetermined"], fontsize=11, weight="bold")
    figure.savefig(path, format="png", facecolor=_GROUND, pil_kwargs={"compress_level": 4})


def _draw_header(part: SubFigure, view: CaseView) -> None:
    diagnosis, tone = view.diagnosis, _TONES[view.diagnosis.verdict]
    part.add_artist(Rectangle((0.018, 0.14), 0.004, 0.72, color=tone, transform=part.transSubfigure))
    part.text(0.03, 0.72, diagnosis.verdict.capitalize(), color=tone, fontsize=24, weight="bold", va="center")
    part.text(0.03, 0.38, _wrapped(diagnosis.reason, 92), color=_INK, fontsize=11, va="center")
    part.text(0.98, 0.80, view.name, color=_INK, fontsize=14, weight="bold", ha="right", va="center")
    kidneys = ", ".join(f"{k.side} {k.volume_ml:.0f} ml" for k in view.kidneys) or "none outlined"
    tumors = ", ".join(
        f"T{t.index} {t.side} {t.volume_ml:.1f} ml, {t.largest_diameter_mm:.0f} mm" for t in view.tumors[:3]
    )
    more = f" and {len(view.tumors) - 3} more" if len(view.tumors) > 3 else ""
    lines = f"Kidneys: {kidneys}\nTumors: {tumors or 'none outlined'}{more}\n{_votes_line(view)}"
    part.text(0.98, 0.36, lines, color=_MUTED, fontsize=10, ha="right", va="center", linespacing=1.5)


def _votes_line(view: CaseView) -> str:
    evidence = findings.evidence(view)
    if not evidence["total"]:
        return "No tumor slice was classified"
    votes = ", ".join(f"{v['count']} {v['name']}" for v in evidence["votes"])
    return f"Votes: {votes}" + ("" if evidence["mean"] is None else f"; mean p(malignant) {evidence['mean']:.2f}")


def _planes(view: CaseView) -> list[_Plane]:
    """Axial slices through the middle of each kidney and of the largest tumors, then a coronal one."""
    middles = [(f"{k.side} kidney", k.box) for k in view.kidneys]
    middles += [(f"tumor T{t.index}", t.box) for t in view.tumors[: max(1, 3 - len(view.kidneys))]]
    by_slice: dict[int, list[str]] = {}
    for name, box in middles:
        by_slice.setdefault((box.zmin + box.zmax) // 2, []).append(name)
    if not by_slice:
        by_slice[view.shape[2] // 2] = ["middle of the scan"]
    sx, sy, sz = view.spacing_mm
    planes = [
        _Plane(f"{_sentence(names)}   z {view.position_mm(z):.0f} mm", *_trimmed(*view.axial(z)), sy / sx, _AXIAL)
        for z, names in by_slice.items()
    ]
    boxes = [box for _, box in middles]
    y = round(float(np.mean([(box.ymin + box.ymax) / 2 for box in boxes]))) if boxes else view.shape[1] // 2
    y = min(y, view.shape[1] - 1)
    return [*planes, _Plane("Coronal", *_trimmed(*view.coronal(y)), sz / sx, _CORONAL)]


def _trimmed(hu: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The picture without the air around the body, so that kidneys show larger."""
    body = hu > _AIR_HU
    rows, columns = (np.flatnonzero(body.mean(axis=axis) > 0.02) for axis in (1, 0))
    if not rows.size or not columns.size:
        return hu, labels
    inside = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return hu[inside], labels[inside]


def _planes_height(planes: list[_Plane]) -> float:
    """Height in inches that fills the width with the pictures side by side."""
    low, high = _PLANES_INCHES
    return float(np.clip(0.95 * _WIDTH_INCHES / sum(p.width for p in planes) + 0.35, low, high))


def _draw_planes(part: SubFigure, planes: list[_Plane]) -> None:
    axes = part.subplots(1, len(planes), width_ratios=[p.width for p in planes], squeeze=False)[0]
    top = 1 - 0.3 / (_planes_height(planes))
    part.subplots_adjust(left=0.018, right=0.982, top=top, bottom=0.01, wspace=0.03)
    for ax, plane in zip(axes, planes, strict=True):
        _draw_plane(ax, plane)


def _draw_plane(ax: Axes, plane: _Plane) -> None:
    rows, columns = plane.hu.shape
    gray = window_to_gray(plane.hu, COLORIZATION_WINDOW_HU)
    ax.imshow(
        gray, cmap="gray", vmin=0, vmax=255, aspect=plane.aspect, extent=(0, columns, rows, 0), interpolation="bilinear"
    )
    ax.set_facecolor("black")
    for mask, color, width in ((plane.labels > BACKGROUND, _KIDNEY, 1.3), (plane.labels == TUMOR, _TUMOR, 1.5)):
        ax.add_collection(LineCollection(mask_outlines(mask), colors=color, linewidths=width), autolim=False)
    ax.set_title(plane.title, color=_INK, fontsize=10.5, pad=5)
    ax.set_axis_off()
    for letter, (x, y) in zip(plane.letters, ((0.5, 1), (1, 0.5), (0.5, 0), (0, 0.5)), strict=True):
        ax.annotate(letter, (x, y), (_INSET * (0.5 - x) * 2, _INSET * (0.5 - y) * 2), "axes fraction", "offset points",
                    color="#ffd84d", fontsize=10, weight="bold", ha="center", va="center")  # fmt: skip


def _draw_crops(part: SubFigure, view: CaseView) -> None:
    """The strip of colorized crops (the gray ones where no step colored them), each over its slice's vote."""
    pictures = view.colors if len(view.colors) else view.crops
    if not len(pictures):
        part.text(0.5, 0.5, "No tumor was outlined, so there is no slice to classify.",
                  color=_MUTED, fontsize=12, ha="center", va="center")  # fmt: skip
        return
    places = spread(range(len(view.votes)), _MAXIMUM_CROPS)
    axes = part.subplots(1, _MAXIMUM_CROPS, squeeze=False)[0]
    part.subplots_adjust(left=0.018, right=0.982, top=0.86, bottom=0.14, wspace=0.06)
    title = f"Tumor slices as the classifier saw them ({len(places)} of {len(view.votes)}), vote and p(malignant)"
    part.text(0.018, 0.93, title, color=_MUTED, fontsize=10, va="center")
    for ax in axes:
        ax.set_axis_off()
    for ax, card in zip(axes, findings.crop_cards(view, places), strict=False):
        picture = pictures[card["place"]]
        if len(picture) == 3:
            ax.imshow((picture.clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy())
        else:
            ax.imshow(window_to_gray(picture[0].numpy(), COLORIZATION_WINDOW_HU), cmap="gray", vmin=0, vmax=255)
        probability = "" if card["probability"] is None else f" {card['probability']:.2f}"
        ax.text(0.5, -0.1, f"{card['vote']}{probability}", transform=ax.transAxes, ha="center", va="center",
                color=_TONES.get(card["vote"], _TONES["undetermined"]), fontsize=10, weight="bold")  # fmt: skip
        ax.text(0.04, 0.95, f"{card['tumor']}  z {card['mm']}", transform=ax.transAxes, color="white", fontsize=8,
                va="top", bbox={"facecolor": "black", "alpha": 0.45, "pad": 1.5, "lw": 0})  # fmt: skip


def _sentence(names: list[str]) -> str:
    joined = " and ".join(names)
    return joined[:1].upper() + joined[1:]


def _wrapped(text: str, width: int) -> str:
    """The text in at most three lines."""
    return "\n".join(textwrap.wrap(text, width)[:3])
