"""Tables of an evaluation: files to keep and a table to look at."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from nephro_monai.evaluation.case_metrics import CaseMetrics
from nephro_monai.io.atomic import atomic_path

__all__ = ["figure_lines", "print_table", "write_tables"]

_STYLES = {"malignant": "red", "benign": "green", "undetermined": "yellow", "missed": "magenta"}


def figure_lines(summary: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The figures of a summary as (name, value, over what), for people."""
    lines = [
        ("Both kidneys found", _percent(summary["both_kidneys_found"]["share"]), _cases(summary["both_kidneys_found"])),
        ("Kidney Dice", _number(summary["kidney_dice"]["mean"]), _cases(summary["kidney_dice"])),
        ("Tumor Dice, all cases", _number(summary["tumor_dice"]["mean"]), _cases(summary["tumor_dice"])),
        ("Tumor Dice, with a tumor", _number(summary["tumor_dice_with_tumor"]["mean"]),
         _cases(summary["tumor_dice_with_tumor"])),
        ("Composite", _number(summary["composite"]["mean"]), _cases(summary["composite"])),
        ("Tumor found", _percent(summary["tumor_found"]["share"]), _cases(summary["tumor_found"])),
    ]  # fmt: skip
    if (scores := summary["malignancy"]) is not None:
        classes = f"{scores['n_malignant']} malignant, {scores['n'] - scores['n_malignant']} benign"
        lines += [
            ("Balanced accuracy", _number(scores["balanced_accuracy"]), classes),
            ("Sensitivity", _number(scores["sensitivity"]), f"n = {scores['n_malignant']}"),
            ("Specificity", _number(scores["specificity"]), f"n = {scores['n'] - scores['n_malignant']}"),
            ("No call", _percent(scores["undetermined_rate"]),
             f"{scores['n_undetermined']} undetermined, {scores['n_missed']} missed"),
            ("AUC, mean probability", _number(scores["auc"]), f"n = {scores['n_auc']}"),
        ]  # fmt: skip
    if (free := summary["no_tumor"])["n"]:
        lines.append((
            "False tumor, tumor-free", f"{free['mean_false_tumor_ml']:.1f} ml",
            f"{free['with_false_tumor']} of {free['n']} cases, {free['with_false_verdict']} with a verdict",
        ))  # fmt: skip
    for group in summary["by_diameter"]:
        value = f"Dice {_number(group['tumor_dice'])}, found {_percent(group['tumor_found'])}"
        lines.append((f"Tumors of {group['group']}", value, f"n = {group['n']}"))
    if summary["seconds"]["n"]:
        lines.append(("Seconds per case", f"{summary['seconds']['mean']:.1f}", _cases(summary["seconds"])))
    return lines


def write_tables(rows: Sequence[CaseMetrics], summary: dict[str, Any], folder: Path) -> None:
    """Writes metrics.csv, summary.json and summary.md.

    Args:
        rows: One per case.
        summary: From `summarize`.
        folder: Where to; made if it is missing.

    Raises:
        OutputError: If the folder or a file cannot be written.
    """
    with atomic_path(folder / "metrics.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(CaseMetrics)])
        writer.writeheader()
        writer.writerows({key: _cell(value) for key, value in asdict(row).items()} for row in rows)
    with atomic_path(folder / "summary.json") as path:
        path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    with atomic_path(folder / "summary.md") as path:
        path.write_text(_markdown(summary), encoding="utf-8")


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
            row.case, _truth(row), f"[{_STYLES.get(verdict, 'default')}]{verdict}[/]", _number(row.kidney_dice),
            _number(row.tumor_dice), kidneys, seconds,
        )  # fmt: skip
    console.print(table)
    for row in rows:
        if row.reason:
            console.print(f"{row.case} ({row.status}): {row.reason}", style="red", markup=False, highlight=False)
    figures = Table(title="Figures", title_justify="left", show_header=False, box=SIMPLE_HEAD)
    for line in figure_lines(summary):
        figures.add_row(*line)
    console.print(figures)
    console.print(f"{summary['data']['description']} {summary['disclaimer']}", style="yellow", highlight=False)


def _markdown(summary: dict[str, Any]) -> str:
    lines = ["# Evaluation", "", f"{summary['data']['description']} {summary['disclaimer']}", ""]
    lines += ["| figure | value | over |", "|---|---:|---|"]
    lines += [f"| {name} | {value} | {over} |" for name, value, over in figure_lines(summary)]
    cases = ", ".join(f"{count} {status}" for status, count in summary["cases"].items() if count)
    lines += ["", f"Cases: {cases}.", "", "## Definitions", ""]
    lines += [f"- `{name}`: {text}" for name, text in summary["definitions"].items()]
    return "\n".join(lines) + "\n"


def _truth(row: CaseMetrics) -> str:
    if row.tumor_ml is None:
        return ""
    if not row.has_tumor:
        return "no tumor"
    return "tumor" if row.malignant is None else ("malignant" if row.malignant else "benign")


def _cell(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:.0f} %"


def _cases(entry: dict[str, Any]) -> str:
    return f"n = {entry['n']}"
