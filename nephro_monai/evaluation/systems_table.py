"""Several systems on the same cases, side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from nephro_monai.constants import DISCLAIMER
from nephro_monai.errors import TrainingDataError
from nephro_monai.io.atomic import atomic_path

__all__ = ["SystemRow", "print_systems", "read_systems", "write_systems"]

_HEADS = ("system", "cases", "kidneys found", "kidney Dice", "tumor Dice", "tumor found", "bal. acc.", "AUC",
          "s/case", "GiB")  # fmt: skip


@dataclass(frozen=True)
class SystemRow:
    """One system's figures; None where it has none.

    Attributes:
        system: Name of its folder.
        cases: How many were scored.
        kidneys_found: Share of cases in which every kidney was found.
        kidney_dice: Mean over cases, label > 0.
        tumor_dice: Mean over the cases with a tumor.
        tumor_found: Share of the cases with a tumor.
        balanced_accuracy: Of the verdicts, undetermined and missed counted as wrong; None without a classifier.
        auc: Of the mean malignancy probability; None without a classifier.
        seconds: Mean per case, imports not counted.
        peak_memory_gib: Highest of the run.
        notice: What the cases are, what the networks were trained on, and what nothing is for.
    """

    system: str
    cases: int
    kidneys_found: float | None
    kidney_dice: float | None
    tumor_dice: float | None
    tumor_found: float | None
    balanced_accuracy: float | None
    auc: float | None
    seconds: float | None
    peak_memory_gib: float | None
    notice: str


def read_systems(folder: Path, systems: Sequence[str] = ()) -> list[SystemRow]:
    """Reads `<folder>/<system>/evaluation/summary.json` and `<folder>/<system>/results/run.json` of every system.

    Args:
        folder: Where `make evaluate-phantom` leaves its runs.
        systems: Names, in the order wanted; all that are there by default.

    Raises:
        TrainingDataError: If there is no evaluation, or that of a named system is missing.
    """
    names = list(systems) or sorted(path.parent.parent.name for path in folder.glob("*/evaluation/summary.json"))
    if not names:
        raise TrainingDataError(
            f"No evaluation in {folder}: it needs <system>/results and <system>/evaluation, as `nephro predict` and "
            "`nephro evaluate` write them."
        )
    return [_row(folder / name, name) for name in names]


def write_systems(rows: Sequence[SystemRow], path: Path) -> None:
    """Writes the table as Markdown.

    Raises:
        OutputError: If the file cannot be written.
    """
    lines = [f"| {' | '.join(_HEADS)} |", "|---|" + "---:|" * (len(_HEADS) - 1)]
    lines += [f"| {' | '.join(_cells(row))} |" for row in rows]
    lines += ["", *_notices(rows)]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def print_systems(rows: Sequence[SystemRow], console: Console | None = None) -> None:
    """Prints the table."""
    # Close enough for 80 columns, where rich would cut the figures.
    table = Table(title="Systems on the same cases", title_justify="left", box=SIMPLE_HEAD, padding=0, show_edge=False)
    for index, head in enumerate(_HEADS):
        table.add_column(head, justify="right" if index else "left", no_wrap=not index)
    for row in rows:
        table.add_row(*_cells(row))
    table.caption = " ".join(_notices(rows))
    (console or Console()).print(table)


def _notices(rows: Sequence[SystemRow]) -> list[str]:
    return list(dict.fromkeys(row.notice for row in rows))


def _row(folder: Path, name: str) -> SystemRow:
    summary = _read(folder / "evaluation" / "summary.json")
    run = _read(folder / "results" / "run.json")
    scores = summary["malignancy"] or {}
    classified = scores if scores.get("n_auc") else {}  # without a classifier no patient has a probability
    return SystemRow(
        system=name,
        cases=int(summary["kidney_dice"]["n"]),
        kidneys_found=summary["both_kidneys_found"]["share"],
        kidney_dice=summary["kidney_dice"]["mean"],
        tumor_dice=summary["tumor_dice_with_tumor"]["mean"],
        tumor_found=summary["tumor_found"]["share"],
        balanced_accuracy=classified.get("balanced_accuracy"),
        auc=classified.get("auc"),
        seconds=summary["seconds"]["mean"],
        peak_memory_gib=run.get("peak_memory_gib"),
        notice=" ".join(
            filter(None, (summary.get("data", {}).get("description"), run.get("training_notice"), DISCLAIMER))
        ),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise TrainingDataError(f"Cannot read {path} ({error}); run `nephro predict` and `nephro evaluate`.") from error


def _cells(row: SystemRow) -> list[str]:
    shares = [f"{100 * value:.0f} %" if value is not None else "-" for value in (row.kidneys_found, row.tumor_found)]
    figures = [
        f"{value:.3f}" if value is not None else "-"
        for value in (row.kidney_dice, row.tumor_dice, row.balanced_accuracy, row.auc)
    ]
    costs = [f"{value:.1f}" if value is not None else "-" for value in (row.seconds, row.peak_memory_gib)]
    return [row.system, str(row.cases), shares[0], *figures[:2], shares[1], *figures[2:], *costs]
