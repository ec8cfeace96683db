"""Figures of an evaluation: Dice against tumor size, ROC, confusion, reliability, FROC, paired differences.

Each takes plain numbers and writes one PNG; a footnote says what data they come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

__all__ = [
    "SizedDice",
    "draw_confusion",
    "draw_dice_by_size",
    "draw_differences",
    "draw_froc",
    "draw_reliability",
    "draw_roc",
]

_DPI = 110
_INK, _MUTED, _GRID = "#1c2733", "#5d6b7a", "#d9dfe6"
_COLORS = ("#1f6fb2", "#d1495b", "#3a8f5c")
_LOW, _HIGH = "#d98c5f", "#1f6fb2"
_SCNET_LINE = 0.7
_MOST_NAMES = 45


@dataclass(frozen=True)
class SizedDice:
    """What `draw_dice_by_size` shows, one entry per case with a tumor.

    Attributes:
        cases: Names.
        tumor_ml: True tumor volumes.
        dice: Tumor Dice, 0..1.
        groups: Mean Dice by size, as (name, mean, interval or None, cases).
    """

    cases: Sequence[str]
    tumor_ml: Sequence[float]
    dice: Sequence[float]
    groups: Sequence[tuple[str, float, Sequence[float] | None, int]] = field(default=())


def draw_dice_by_size(sizes: SizedDice, path: Path, footnote: str = "") -> None:
    """Draws tumor Dice of each case in the order of its tumor's size (Pan et al. 2019, SCNet, figure 5).

    Args:
        sizes: At least one case.
        path: PNG file to write.
        footnote: What the data are.
    """
    order = np.argsort(sizes.tumor_ml, kind="stable")
    dice, volume = np.asarray(sizes.dice, float)[order], np.asarray(sizes.tumor_ml, float)[order]
    widths = [min(10.5, 0.26 * len(order) + 3.5), *([4.0] if sizes.groups else [])]
    figure = _figure((sum(widths), 5.4), footnote)
    grid = figure.add_gridspec(2, len(widths), height_ratios=(3, 1.4), width_ratios=widths)
    upper, lower = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[1, 0])
    places = np.arange(len(order))
    upper.bar(places, dice, color=np.where(dice < _SCNET_LINE, _LOW, _HIGH), width=0.8)
    upper.plot(places[dice <= 0], np.full((dice <= 0).sum(), 0.012), linestyle="none", marker="x", color=_LOW, ms=5)
    upper.axhline(_SCNET_LINE, color=_MUTED, linewidth=1, linestyle=(0, (4, 3)))
    _style(upper, "Tumor Dice of each case, smallest tumor first", "", "tumor Dice", (0, 1.02))
    upper.set_xticks([])
    lower.bar(places, volume, color=_MUTED, width=0.8)
    lower.set_yscale("log")
    _style(lower, "", "", "tumor, ml")
    few = len(order) <= _MOST_NAMES
    names = [sizes.cases[i].removeprefix("case_") for i in order]
    lower.set_xticks(places if few else [], names if few else [], rotation=90, fontsize=7)
    lower.set_xlabel("case" if few else f"{len(order)} cases", color=_INK)
    for axes in (upper, lower):
        axes.set_xlim(-0.7, len(order) - 0.3)
    if sizes.groups:
        _draw_groups(figure.add_subplot(grid[:, 1]), sizes.groups)
    _save(figure, path)


def draw_roc(curves: Mapping[str, Mapping[str, Any]], path: Path, footnote: str = "") -> None:
    """Draws ROC curves with the band that holds 95 % of the resampled curves.

    Args:
        curves: By name for the legend: `false_positive_rate`, `true_positive_rate`, and `band` (None or
            `false_positive_rate`, `low`, `high`).
        path: PNG file to write.
        footnote: What the data are.
    """
    figure = _figure((5.6, 5.8), footnote)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=_MUTED, linewidth=1, linestyle=(0, (4, 3)))
    for color, (name, curve) in zip(_COLORS, curves.items(), strict=False):
        if (band := curve.get("band")) is not None:
            axes.fill_between(band["false_positive_rate"], band["low"], band["high"], color=color, alpha=0.15, lw=0)
        axes.plot(curve["false_positive_rate"], curve["true_positive_rate"], color=color, linewidth=2, label=name)
    _style(axes, "Malignant against benign", "1 - specificity", "sensitivity", (-0.02, 1.02))
    axes.set_xlim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.legend(loc="lower right", frameon=False, fontsize=9, labelcolor=_INK)
    _save(figure, path)


def draw_confusion(matrices: Mapping[str, Mapping[str, Mapping[str, int]]], path: Path, footnote: str = "") -> None:
    """Draws confusion matrices, the share of each true class by call, with counts.

    Args:
        matrices: By name for the title: by true class, by call, how many.
        path: PNG file to write.
        footnote: What the data are.
    """
    figure = _figure((4.6 * len(matrices) + 0.6, 3.6), footnote)
    for axes, (title, matrix) in zip(np.ravel(figure.subplots(1, len(matrices))), matrices.items(), strict=True):
        rows, columns = list(matrix), list(next(iter(matrix.values())))
        counts = np.array([[matrix[row][column] for column in columns] for row in rows])
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (i, j), count in np.ndenumerate(counts):
            color = "white" if shares[i, j] > 0.55 else _INK
            axes.text(j, i, f"{count}\n{100 * shares[i, j]:.0f} %", ha="center", va="center", color=color, fontsize=11)
        _style(axes, title, "predicted", "true")
        axes.grid(visible=False)
        axes.set_xticks(range(len(columns)), columns)
        axes.set_yticks(range(len(rows)), [f"{row}\nn = {n}" for row, n in zip(rows, counts.sum(axis=1), strict=True)])
    _save(figure, path)


def draw_reliability(levels: Mapping[str, Mapping[str, Any]], path: Path, footnote: str = "") -> None:
    """Draws reliability diagrams: what happened against what was predicted, and how often.

    Args:
        levels: By name for the title: `counts`, `probabilities` and `frequencies` per bin of equal width (None where
            a bin is empty).
        path: PNG file to write.
        footnote: What the data are.
    """
    figure = _figure((4.4 * len(levels) + 0.6, 5.6), footnote)
    grid = figure.add_gridspec(2, len(levels), height_ratios=(3, 1))
    for column, (title, level) in enumerate(levels.items()):
        upper, lower = figure.add_subplot(grid[0, column]), figure.add_subplot(grid[1, column])
        bins = len(level["counts"])
        filled = [i for i, count in enumerate(level["counts"]) if count]
        said = [level["probabilities"][i] for i in filled]
        happened = [level["frequencies"][i] for i in filled]
        upper.plot([0, 1], [0, 1], color=_MUTED, linewidth=1, linestyle=(0, (4, 3)))
        upper.vlines(said, said, happened, color=_LOW, linewidth=2)
        upper.plot(said, happened, color=_HIGH, marker="o", markersize=5, linewidth=1.5)
        _style(upper, title, "", "share that is malignant", (-0.03, 1.03))
        lower.bar((np.arange(bins) + 0.5) / bins, level["counts"], width=0.9 / bins, color=_MUTED)
        _style(lower, "", "predicted probability of malignancy", "how many")
        lower.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        for axes in (upper, lower):
            axes.set_xlim(-0.03, 1.03)
    _save(figure, path)


def draw_froc(rates: Sequence[float], recalls: Sequence[float], path: Path, footnote: str = "") -> None:
    """Draws the recall of lesions against false lesions per case.

    Args:
        rates: False lesions per case, rising.
        recalls: Recall at each.
        path: PNG file to write.
        footnote: What the data are.
    """
    figure = _figure((6.0, 4.6), footnote)
    axes = figure.add_subplot()
    axes.step(rates, recalls, where="post", color=_HIGH, linewidth=2)
    axes.plot(rates[-1:], recalls[-1:], marker="o", color=_HIGH)
    title = "Lesions found, leaving out predicted ones below a volume"
    _style(axes, title, "false lesions per case", "recall of lesions", (-0.02, 1.02))
    axes.set_xlim(left=0)
    _save(figure, path)


def draw_differences(
    differences: Mapping[str, Sequence[float]], path: Path, names: tuple[str, str], footnote: str = ""
) -> None:
    """Draws paired differences per case and their mean, one row per metric.

    Args:
        differences: By metric, A minus B per case.
        path: PNG file to write.
        names: Of A and B.
        footnote: What the data are.
    """
    figure = _figure((7.4, 1.6 + 0.75 * len(differences)), footnote)
    axes = figure.add_subplot()
    axes.axvline(0, color=_MUTED, linewidth=1, linestyle=(0, (4, 3)))
    generator = np.random.default_rng(0)
    for row, values in enumerate(differences.values()):
        array = np.asarray(values, float)
        heights = row + generator.uniform(-0.16, 0.16, len(array))
        axes.plot(array, heights, linestyle="none", marker="o", markersize=4, alpha=0.45, color=_HIGH)
        axes.plot([array.mean()] * 2, [row - 0.32, row + 0.32], color=_COLORS[1], linewidth=2.5)
    _style(axes, "Difference per case (dots) and its mean (bar)", f"{names[0]} minus {names[1]}", "")
    axes.set_yticks(range(len(differences)), list(differences))
    axes.set_ylim(len(differences) - 0.5, -0.5)
    _save(figure, path)


def _draw_groups(axes: Axes, groups: Sequence[tuple[str, float, Sequence[float] | None, int]]) -> None:
    for place, (_, mean, bounds, _) in enumerate(groups):
        axes.bar(place, mean, width=0.7, color=_HIGH)
        if bounds is not None:
            axes.vlines(place, bounds[0], bounds[1], color=_INK, linewidth=1.5)
    _style(axes, "Mean by diameter", "largest diameter, mm", "tumor Dice", (0, 1.02))
    axes.set_xticks(range(len(groups)), [f"{name}\nn = {n}" for name, _, _, n in groups], fontsize=7.5)


def _figure(size: tuple[float, float], footnote: str) -> Figure:
    figure = Figure(figsize=size, dpi=_DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    if footnote:
        figure.supxlabel(footnote, fontsize=7.5, color=_MUTED)
    return figure


def _style(axes: Axes, title: str, x: str, y: str, limits: tuple[float, float] | None = None) -> None:
    axes.set_title(title, loc="left", color=_INK, fontsize=11)
    axes.set_xlabel(x, color=_INK)
    axes.set_ylabel(y, color=_INK)
    axes.tick_params(colors=_MUTED, labelcolor=_INK)
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_GRID)
    if limits is not None:
        axes.set_ylim(limits)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="png", facecolor="white")
