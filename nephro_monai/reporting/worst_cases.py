"""Slices with the truth and the prediction on top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nephro_monai.constants import KIDNEY, SEGMENTATION_WINDOW_HU, TUMOR
from nephro_monai.reporting.outlines import mask_outlines

__all__ = ["ErrorSlice", "draw_error_slices"]

_DPI = 110
_COLUMNS = 4
_INK, _MUTED = "#1c2733", "#5d6b7a"
_TRUE_KIDNEY, _TRUE_TUMOR, _FOUND_TUMOR, _FOUND_KIDNEY = "#4cc3e0", "#5bd75b", "#ff5a4d", "#e0b04c"
_LINES: Final[tuple[tuple[str, str, Literal["-", ":", "--"]], ...]] = (
    ("true kidney", _TRUE_KIDNEY, "-"), ("true tumor", _TRUE_TUMOR, "-"),
    ("outlined kidney", _FOUND_KIDNEY, ":"), ("outlined tumor", _FOUND_TUMOR, "--"),
)  # fmt: skip


@dataclass(frozen=True)
class ErrorSlice:
    """One axial slice, rows to posterior, columns to the patient's left.

    Attributes:
        title: Above it.
        hu: (rows, columns).
        truth: (rows, columns), 0 background, 1 kidney, 2 tumor.
        prediction: The same.
        aspect: Height of a pixel over its width.
    """

    title: str
    hu: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray
    aspect: float = 1.0


def draw_error_slices(slices: Sequence[ErrorSlice], path: Path, footnote: str = "") -> None:
    """Draws slices side by side, the truth in solid and the prediction in broken lines.

    Args:
        slices: At least one.
        path: PNG file to write.
        footnote: What the data are.
    """
    columns = min(_COLUMNS, len(slices))
    rows = -(-len(slices) // columns)
    figure = Figure(figsize=(3.0 * columns, 3.25 * rows + 0.6), dpi=_DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    for place, one in enumerate(slices):
        _draw(figure.add_subplot(rows, columns, place + 1), one)
    handles = [Line2D([], [], color=color, linestyle=style, label=name) for name, color, style in _LINES]
    figure.legend(
        handles=handles, loc="outside upper left", ncols=len(handles), frameon=False, fontsize=8, labelcolor=_INK
    )
    if footnote:
        figure.supxlabel(footnote, fontsize=7.5, color=_MUTED)
    figure.savefig(path, format="png", facecolor="white")


def _draw(axes: Axes, one: ErrorSlice) -> None:
    low, high = SEGMENTATION_WINDOW_HU
    height, width = one.hu.shape
    extent = (0.0, float(width), float(height), 0.0)
    axes.imshow(one.hu, cmap="gray", vmin=low, vmax=high, extent=extent, aspect=one.aspect, interpolation="bilinear")
    masks = (one.truth >= KIDNEY, one.truth == TUMOR, one.prediction >= KIDNEY, one.prediction == TUMOR)
    for mask, (_, color, style) in zip(masks, _LINES, strict=True):
        for polygon in mask_outlines(np.asarray(mask)):
            axes.plot(*polygon.T, color=color, linestyle=style, linewidth=1.3)
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
    axes.set_title(one.title, fontsize=8.5, color=_INK, loc="left")
