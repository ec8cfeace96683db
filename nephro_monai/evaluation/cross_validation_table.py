"""The table of a cross-validation: every fold, their mean, and all held-out cases together."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from nephro_monai.constants import DISCLAIMER
from nephro_monai.evaluation.figure_lines import number
from nephro_monai.io.atomic import atomic_path

__all__ = ["CrossValidationResult", "FoldLine", "fold_lines", "print_result", "write_result"]

_WIDTH, _FOLD_WIDTH = 80, 8
"""Columns that the table takes on a screen without its folds, and with each; the files have all folds."""

_Figure = tuple[str, Callable[[dict[str, Any]], float | None], Callable[[dict[str, Any]], Any]]


@dataclass(frozen=True)
class CrossValidationResult:
    """What a cross-validation found.

    Attributes:
        system: Name.
        data: Where the data come from, in a sentence.
        folds: The summary of each fold's held-out cases, from `summarize`.
        together: The summary of all cases, each predicted by the networks that have not seen it.
        calibrations: What each fold was calibrated with, or why it was not; None where no case was kept for it.
        notes: What is doubtful, in sentences.
    """

    system: str
    data: str
    folds: tuple[dict[str, Any], ...]
    together: dict[str, Any]
    calibrations: tuple[str | None, ...] = ()
    notes: tuple[str, ...] = ()


class FoldLine(NamedTuple):
    """A figure in every fold.

    Attributes:
        name: What it is.
        folds: Its value in each fold; None where it is not defined.
        mean: Mean over the folds in which it is defined.
        deviation: Standard deviation over these folds; None with fewer than two.
        together: Its value over all cases.
        interval: 95 % interval of `together` over cases.
    """

    name: str
    folds: tuple[float | None, ...]
    mean: float | None
    deviation: float | None
    together: float | None
    interval: tuple[float, float] | None


def fold_lines(result: CrossValidationResult) -> list[FoldLine]:
    """The table, a line per figure; figures that no fold has are left out."""
    lines = []
    for name, value, bounds in _figures():
        values = tuple(value(summary) for summary in result.folds)
        defined = [v for v in values if v is not None]
        if not defined:
            continue
        mean = float(np.mean(defined))
        deviation = float(np.std(defined, ddof=1)) if len(defined) > 1 else None
        interval = bounds(result.together)
        both = None if interval is None else (float(interval[0]), float(interval[1]))
        lines.append(FoldLine(name, values, mean, deviation, value(result.together), both))
    return lines


def write_result(result: CrossValidationResult, folder: Path) -> None:
    """Writes folds.csv, summary.json and summary.md.

    Raises:
        OutputError: If a file cannot be written.
    """
    lines = fold_lines(result)
    with atomic_path(folder / "folds.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        heads = [f"fold_{index}" for index in range(len(result.folds))]
        writer.writerow(["figure", *heads, "mean", "deviation", "all", "low", "high"])
        for line in lines:
            low, high = line.interval or (None, None)
            cells = (*line.folds, line.mean, line.deviation, line.together, low, high)
            writer.writerow([line.name, *("" if cell is None else round(cell, 10) for cell in cells)])
    content = {
        "disclaimer": DISCLAIMER, "system": result.system, "data": result.data,
        "figures": [line._asdict() for line in lines], "calibrations": result.calibrations, "notes": result.notes,
    }  # fmt: skip
    with atomic_path(folder / "summary.json") as path:
        path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    with atomic_path(folder / "summary.md") as path:
        path.write_text(_markdown(result, lines), encoding="utf-8")


def print_result(result: CrossValidationResult, console: Console | None = None) -> None:
    """Prints the table and what is to know about it."""
    console = console or Console()
    table = Table(title=f"Cross-validation of {result.system}", title_justify="left", box=SIMPLE_HEAD)
    folds = len(result.folds)
    shown = folds if console.width >= _WIDTH + _FOLD_WIDTH * folds else 0
    for index, head in enumerate(_heads(result, shown)):
        table.add_column(head, justify="right" if index else "left", no_wrap=True)
    for line in fold_lines(result):
        table.add_row(*_cells(line, shown))
    console.print(table)
    for note in (*_calibration_lines(result), *result.notes):
        console.print(note, style="yellow", markup=False, highlight=False, soft_wrap=True)
    console.print(f"{result.data} {DISCLAIMER}", style="yellow", highlight=False, soft_wrap=True)


def _figures() -> list[_Figure]:
    def mean(key: str, name: str) -> _Figure:
        return name, lambda s: s[key]["mean"], lambda s: s[key]["interval"]

    def share(key: str, name: str) -> _Figure:
        return name, lambda s: s[key]["share"], lambda s: s[key]["interval"]

    def patients(key: str, name: str) -> _Figure:
        def value(summary: dict[str, Any]) -> float | None:
            return None if summary["malignancy"] is None else summary["malignancy"][key]

        return name, value, lambda s: None if s["malignancy"] is None else s["malignancy"]["intervals"].get(key)

    return [
        mean("kidney_dice", "Kidney Dice"),
        mean("tumor_dice", "Tumor Dice, all cases"),
        mean("tumor_dice_with_tumor", "Tumor Dice, with a tumor"),
        mean("composite", "Composite"),
        share("both_kidneys_found", "Both kidneys found"),
        share("tumor_found", "Tumor found"),
        patients("balanced_accuracy", "Balanced accuracy"),
        patients("accuracy", "Accuracy"),
        patients("sensitivity", "Sensitivity"),
        patients("specificity", "Specificity"),
        patients("undetermined_rate", "No call"),
        patients("called_accuracy", "Accuracy of the calls"),
        patients("called_benign", "Malignant called benign"),
        patients("auc", "AUC"),
        patients("ece", "ECE"),
    ]


def _heads(result: CrossValidationResult, shown: int) -> list[str]:
    folds = [f"fold {index}" for index in range(shown)]
    return ["figure", *folds, "mean (SD)", "all cases", "95 % interval"]


def _cells(line: FoldLine, shown: int) -> list[str]:
    spread = number(line.mean) + ("" if line.deviation is None else f" ({number(line.deviation)})")
    interval = "" if line.interval is None else f"{line.interval[0]:.2f} to {line.interval[1]:.2f}"
    return [line.name, *(number(value) for value in line.folds[:shown]), spread, number(line.together), interval]


def _calibration_lines(result: CrossValidationResult) -> list[str]:
    return [f"Fold {i}: {text}" for i, text in enumerate(result.calibrations) if text is not None]


def _markdown(result: CrossValidationResult, lines: list[FoldLine]) -> str:
    folds = len(result.folds)
    heads = _heads(result, folds)
    text = [f"# Cross-validation of {result.system}", "", f"{result.data} {DISCLAIMER}", ""]
    text += [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 2) + "---|"]
    text += [f"| {' | '.join(_cells(line, folds))} |" for line in lines]
    text += [
        "",
        "Every case is predicted by the networks of the fold that held it out. Mean and standard deviation are over "
        "the folds in which a figure is defined; the interval is of all cases together, a bootstrap over cases. The "
        "AUC of all cases mixes the probabilities of different networks. No call counts as a wrong answer.",
    ]
    if calibrated := _calibration_lines(result):
        text += ["", "## Calibration", "", "Fitted on training cases that no network of the fold was trained on.", ""]
        text += [f"- {entry}" for entry in calibrated]
    if notes := [*result.notes, *result.together["notes"]]:
        text += ["", "## Notes", "", *(f"- {note}" for note in notes)]
    return "\n".join(text) + "\n"
