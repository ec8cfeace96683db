"""Pictures of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nephro_monai.evaluation.case_metrics import CaseMetrics
from nephro_monai.evaluation.figure_lines import number
from nephro_monai.io.atomic import atomic_path
from nephro_monai.reporting.evaluation_figures import (
    SizedDice,
    draw_confusion,
    draw_dice_by_size,
    draw_froc,
    draw_reliability,
    draw_roc,
)

__all__ = ["FIGURES", "write_figures"]

FIGURES = ("dice_by_tumor_size.png", "roc.png", "confusion_matrix.png", "reliability.png", "froc.png")


def write_figures(rows: Sequence[CaseMetrics], summary: dict[str, Any], folder: Path) -> list[str]:
    """Draws what there are numbers for; a figure that an earlier run left and this one has no numbers for goes.

    Args:
        rows: One per case.
        summary: From `summarize`.
        folder: Where to; made if it is missing.

    Returns:
        Names of the files written, of `FIGURES`.

    Raises:
        OutputError: If a file cannot be written.
    """
    footnote = f"{summary['data']['description']} {summary['disclaimer']}"
    drawings = dict(zip(FIGURES, (_sizes(rows, summary), *_malignancy(summary), _froc(summary)), strict=True))
    for name, draw in drawings.items():
        if draw is None:
            (folder / name).unlink(missing_ok=True)
            continue
        with atomic_path(folder / name) as path:
            draw(path=path, footnote=footnote)
    return [name for name, draw in drawings.items() if draw is not None]


def _sizes(rows: Sequence[CaseMetrics], summary: dict[str, Any]) -> Callable[..., None] | None:
    known = [row for row in rows if row.has_tumor and row.tumor_dice is not None]
    if not known:
        return None
    groups = [(g["group"].replace(" mm", ""), g["tumor_dice"], g["tumor_dice_interval"], g["n"])
              for g in summary["by_diameter"]]  # fmt: skip
    sizes = SizedDice(
        [row.case for row in known], [row.tumor_ml or 0.0 for row in known], [row.tumor_dice or 0.0 for row in known],
        groups,
    )  # fmt: skip
    return partial(draw_dice_by_size, sizes)


def _malignancy(summary: dict[str, Any]) -> tuple[Callable[..., None] | None, ...]:
    """ROC, confusion and reliability, of patients and of slices."""
    levels = {name: summary[key] for name, key in (("patients", "malignancy"), ("slices", "slices")) if summary[key]}
    levels = {name: level for name, level in levels.items() if level["n"]}
    curves = {
        f"{name}: AUC {number(level['auc'], 2)}{_bounds(level['intervals'].get('auc'))}": level["roc"]
        for name, level in levels.items() if level["roc"] is not None
    }  # fmt: skip
    if levels.get("patients") and (reader := levels["patients"]["look_reader"]) is not None:
        title = f"reader who knows the look (synthetic only): AUC {number(reader['auc'], 2)}"
        curves[title + _bounds(reader["interval"])] = reader["roc"]
    confusion = {f"{name.capitalize()} (n = {level['n']})": level["confusion"] for name, level in levels.items()}
    reliable = {
        f"{name.capitalize()} (n = {level['n_calibration']}, ECE {number(level['ece'], 2)})": level["reliability"]
        for name, level in levels.items() if level["n_calibration"]
    }  # fmt: skip
    return (
        partial(draw_roc, curves) if curves else None,
        partial(draw_confusion, confusion) if confusion else None,
        partial(draw_reliability, reliable) if reliable else None,
    )


def _froc(summary: dict[str, Any]) -> Callable[..., None] | None:
    curve = summary["lesions"]["froc"]
    return None if curve is None else partial(draw_froc, curve["false_per_case"], curve["recall"])


def _bounds(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f" ({interval[0]:.2f} to {interval[1]:.2f})"
