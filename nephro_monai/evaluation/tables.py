"""Tables of an evaluation: files to keep and a table to look at."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from nephro_monai.evaluation.case_metrics import COLUMNS, CaseMetrics
from nephro_monai.evaluation.figure_lines import figure_lines, number
from nephro_monai.evaluation.lesions import Lesion
from nephro_monai.io.atomic import atomic_path

__all__ = ["figure_lines", "print_table", "write_tables"]

_WIDEST_VALUE = 24
"""So that the lines fit 80 columns; summary.md has every interval."""

_STYLES = {"malignant": "red", "benign": "green", "undetermined": "yellow", "missed": "magenta"}


def write_tables(
    rows: Sequence[CaseMetrics], summary: dict[str, Any], folder: Path, figures: Sequence[str] = ()
) -> None:
    """Writes metrics.csv, lesions.csv, summary.json and summary.md.

    Args:
        rows: One per case.
        summary: From `summarize`.
        folder: Where to; made if it is missing.
        figures: Names of the pictures in it, for summary.md.

    Raises:
        OutputError: If the folder or a file cannot be written.
    """
    lesions = [lesion for row in rows for lesion in row.lesions]
    names = [field.name for field in fields(Lesion)]
    _write_csv(folder / "metrics.csv", COLUMNS, ([getattr(row, name) for name in COLUMNS] for row in rows))
    _write_csv(folder / "lesions.csv", names, ([getattr(lesion, name) for name in names] for lesion in lesions))
    with atomic_path(folder / "summary.json") as path:
        path.write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    with atomic_path(folder / "summary.md") as path:
        path.write_text(_markdown(rows, summary, figures), encoding="utf-8")


def print_table(rows: Sequence[CaseMetrics], summary: dict[str, Any], console: Console | None = None) -> None:
    """Prints a row per case, then the figures, then what the data is.

    Args:
        rows: One per case.
        summary: From `summarize`.
        console: Where to print; standard output by default.
    """
    console = console or Console()
    table = Table(title="Predictions and truth", title_justify="left", box=SIMPLE_HEAD)
    for name in ("\ncase", "\ntruth", "\nverdict"):
        table.add_column(name, no_wrap=True)
    for name in ("kidney\nDice", "tumor\nDice", "kidneys\nfound", "\nseconds"):
        table.add_column(name, justify="right")
    for row in rows:
        verdict = row.verdict or ("" if row.status == "done" else row.status)
        kidneys = "" if row.kidneys is None else f"{row.kidneys_found} of {row.kidneys}"
        seconds = "" if row.seconds is None else f"{row.seconds:.1f}"
        table.add_row(
            row.case, _truth(row), f"[{_STYLES.get(verdict, 'default')}]{verdict}[/]", number(row.kidney_dice),
            number(row.tumor_dice), kidneys, seconds,
        )  # fmt: skip
    console.print(table)
    for row in rows:
        if row.reason:
            style = "yellow" if row.status == "done" else "red"
            console.print(f"{row.case} ({row.status}): {row.reason}", style=style, markup=False, highlight=False)
    figures = Table(title="Figures", title_justify="left", show_header=False, box=SIMPLE_HEAD)
    for line in figure_lines(summary):
        both = f"{line.value} ({line.interval})" if line.interval else line.value
        figures.add_row(line.name, both if len(both) <= _WIDEST_VALUE else line.value, line.over)
    console.print(figures)
    for note in summary["notes"]:
        console.print(note, style="yellow", markup=False, highlight=False)
    console.print(f"{summary['data']['description']} {summary['disclaimer']}", style="yellow", highlight=False)


def _markdown(rows: Sequence[CaseMetrics], summary: dict[str, Any], figures: Sequence[str]) -> str:
    lines = ["# Evaluation", "", f"{summary['data']['description']} {summary['disclaimer']}", ""]
    lines += ["| figure | value | over | 95 % interval |", "|---|---:|---|---|"]
    lines += [f"| {' | '.join(line)} |" for line in figure_lines(summary)]
    cases = ", ".join(f"{count} {status}" for status, count in summary["cases"].items() if count)
    lines += ["", f"Cases: {cases}."]
    doubts = [f"{row.case} ({row.status}): {row.reason}" for row in rows if row.reason]
    if doubts or summary["notes"]:
        lines += ["", "## Notes", "", *(f"- {text}" for text in (*summary["notes"], *doubts))]
    for name in figures:
        title = name.removesuffix(".png").replace("_", " ").capitalize()
        lines += ["", f"![{title}]({name})"]
    lines += ["", "## Definitions", ""]
    lines += [f"- `{name}`: {text}" for name, text in summary["definitions"].items()]
    return "\n".join(lines) + "\n"


def _write_csv(target: Path, names: Sequence[str], table: Iterable[Sequence[Any]]) -> None:
    with atomic_path(target) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([_cell(value) for value in line] for line in table)


def _truth(row: CaseMetrics) -> str:
    if row.tumor_ml is None:
        return ""
    if not row.has_tumor:
        return "no tumor"
    return "tumor" if row.malignant is None else ("malignant" if row.malignant else "benign")


def _cell(value: Any) -> Any:
    """Floats to ten digits: the mean of a column is the mean of the summary to 1e-9."""
    return round(value, 10) if isinstance(value, float) else value
