"""An experiment's table as files and on the screen."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from nephro_monai.evaluation.figure_lines import number
from nephro_monai.io.atomic import atomic_path

__all__ = ["print_experiment", "write_experiment"]

_HEADS = ("row", "figure", "paper", "ours", "95 % interval", "over")
_SEEDS_HEAD = "SD over seeds"


class _Line(NamedTuple):
    row: str
    figure: str
    paper: str
    ours: str
    interval: str
    over: str
    deviation: str


def write_experiment(result: Mapping[str, Any], folder: Path) -> None:
    """Writes `<experiment>.md`, `.csv` and `.json`.

    Args:
        result: From `run_experiment`.
        folder: Made if it is missing.

    Raises:
        OutputError: If a file cannot be written.
    """
    name = result["experiment"]
    with atomic_path(folder / f"{name}.json") as path:
        path.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    with atomic_path(folder / f"{name}.md") as path:
        path.write_text(_markdown(result), encoding="utf-8")
    with atomic_path(folder / f"{name}.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ("row", "figure", "key", "paper", "ours", "low", "high", "sd_over_seeds", "over", "encoder", "colorizer",
             "data", "seeds", "small")
        )  # fmt: skip
        for row in result["rows"]:
            for key, entry in row["figures"].items():
                low, high = entry["interval"] or ("", "")
                writer.writerow(
                    (row["name"], entry["name"], key, entry["paper"], entry["value"], low, high,
                     entry.get("deviation_over_seeds"), entry["over"], row["encoder"], row["colorizer"],
                     _kind(result), result["seeds"], result["small"])
                )  # fmt: skip


def print_experiment(result: Mapping[str, Any], console: Console | None = None) -> None:
    """Prints the table and what has to be known with it."""
    console = console or Console()
    title = f"{result['title']} ({result['source']})"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for head in _heads(result):
        right = head not in ("row", "figure", "over")
        table.add_column(head, justify="right" if right else "left", overflow="fold")
    last = ""
    for line in _lines(result):
        cells = _cells(line, result)
        table.add_row("" if line.row == last else line.row, *cells[1:])
        last = line.row
    console.print(table)
    for text in _facts(result):
        console.print(text, style="yellow", markup=False, highlight=False)


def _markdown(result: Mapping[str, Any]) -> str:
    lines = [f"# {result['title']}", "", f"{result['source']}.", ""]
    lines += [f"- {text}" for text in _facts(result)]
    lines += ["", *_side_by_side(result)]
    lines += ["", "| row | weights at the start | colorizer | seconds of training |", "|---|---|---|---:|"]
    lines += [
        f"| {row['name']} | {row['encoder']} | {row['colorizer'] or '-'} | {row['seconds']:.0f} |"
        for row in result["rows"]
        if row["encoder"]
    ]
    if result["notes"]:
        lines += ["", *(f"- {note}" for note in result["notes"])]
    return "\n".join(lines) + "\n"


def _side_by_side(result: Mapping[str, Any]) -> list[str]:
    """A row per row of the paper and a column per figure: ours with its interval, the paper's where it has one."""
    names = {key: entry["name"] for row in result["rows"] for key, entry in row["figures"].items()}
    lines = [f"| row | {' | '.join(names.values())} | over |", f"|---|{'---|' * len(names)}---|"]
    for row in result["rows"]:
        figures = row["figures"]
        cells = [_cell(figures[key]) if key in figures else "" for key in names]
        over = dict.fromkeys(entry["over"] for entry in figures.values())
        lines.append(f"| {' | '.join([row['name'], *cells, '; '.join(over)])} |")
    return lines


def _cell(entry: Mapping[str, Any]) -> str:
    text = number(entry["value"])
    if entry["interval"]:
        text += f" ({entry['interval'][0]:.2f} to {entry['interval'][1]:.2f})"
    if entry.get("deviation_over_seeds") is not None:
        text += f", SD over seeds {number(entry['deviation_over_seeds'])}"
    return f"{text}; paper: {entry['paper']}" if entry["paper"] else text


def _facts(result: Mapping[str, Any]) -> Sequence[str]:
    """What a reader must know before the figures."""
    facts = [
        f"Ours: {result['data']['description']}" + (f" Paper: {result['paper_data']}" if result["paper_data"] else ""),
        f"{result['split']}; seeds: {result['seeds']}; intervals: {result['intervals']}.",
        f"Hardware: {'; '.join(result['hardware'])}. nephro_monai {result['versions']['nephro_monai']}, "
        f"torch {result['versions']['torch']}.",
    ]
    facts += _starts(result)
    if result["small"]:
        facts.insert(0, "Small run: tiny networks and a few steps show that everything runs; the figures mean nothing.")
    if result["data"]["synthetic"]:
        facts.insert(0, "SYNTHETIC CT: not to be compared with figures on real scans.")
    if result["overrides"]:
        facts.append("Set by hand: " + ", ".join(f"{key} = {value}" for key, value in result["overrides"].items()))
    if result["missing"]:
        facts.append(f"Rows not run yet: {'; '.join(result['missing'])}.")
    return [*facts, result["disclaimer"]]


def _starts(result: Mapping[str, Any]) -> list[str]:
    """Which rows started from what, and what colored their slices."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in result["rows"]:
        if row["encoder"]:
            found.setdefault((row["encoder"], row["colorizer"]), []).append(row["name"])
    every = len(found) == 1
    return [
        f"Weights at the start: {encoder}{f'; colorizer: {colorizer}' if colorizer else ''} "
        f"({'all rows' if every else ', '.join(names)})."
        for (encoder, colorizer), names in found.items()
    ]


def _kind(result: Mapping[str, Any]) -> str:
    """Whether the cases are synthetic, real, or both, as their records say."""
    synthetic, cases = result["data"]["synthetic"], result["data"]["cases"]
    return "synthetic" if synthetic == cases else ("partly synthetic" if synthetic else "not marked as synthetic")


def _heads(result: Mapping[str, Any]) -> list[str]:
    return [*_HEADS, _SEEDS_HEAD] if result["seeds"] > 1 else list(_HEADS)


def _cells(line: _Line, result: Mapping[str, Any]) -> list[str]:
    return list(line if result["seeds"] > 1 else line[:-1])


def _lines(result: Mapping[str, Any]) -> Iterator[_Line]:
    for row in result["rows"]:
        for entry in row["figures"].values():
            bounds = entry["interval"]
            yield _Line(
                row["name"], entry["name"], entry["paper"] or "-", number(entry["value"]),
                f"{bounds[0]:.2f} to {bounds[1]:.2f}" if bounds else "n/a", entry["over"],
                number(entry.get("deviation_over_seeds")),
            )  # fmt: skip
