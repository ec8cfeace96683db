"""The table that a run prints at its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from nephro_monai.constants import DISCLAIMER
from nephro_monai.engine.manifest import summary_row
from nephro_monai.engine.runner import CaseOutcome

__all__ = ["print_summary"]

_STYLES = {"malignant": "red", "benign": "green", "undetermined": "yellow", "failed": "bold red"}


def print_summary(outcomes: Sequence[CaseOutcome], output_dir: Path, console: Console | None = None) -> None:
    """Prints a row per case, and where the results are.

    Args:
        outcomes: What became of each case.
        output_dir: Where the results were written.
        console: Where to print; standard output by default.
    """
    console = console or Console()
    notices = dict.fromkeys(
        o.diagnosis["training_notice"] for o in outcomes if o.diagnosis and "training_notice" in o.diagnosis
    )
    caption = " ".join((
        "mm: largest tumor's diameter; p: mean probability of malignant.", *notices, DISCLAIMER,
        f"Results: {output_dir}",
    ))  # fmt: skip
    table = Table(title="Cases", caption=caption)
    for name in ("case", "verdict", "kidneys ml", "tumors", "mm", "p", "s", "reason"):
        text = name in ("case", "verdict", "reason")
        table.add_column(name, justify="left" if text else "right", no_wrap=name in ("case", "verdict"))
    for outcome in outcomes:
        row = summary_row(outcome)
        verdict = row["verdict"] if outcome.status != "failed" else "failed"
        probability = row["mean_probability_malignant"]
        table.add_row(
            outcome.case.name, f"[{_STYLES.get(verdict, 'default')}]{verdict}[/]", str(row["kidney_ml"]),
            str(row["tumors"]), str(row["largest_tumor_mm"]), "" if probability is None else f"{probability:.2f}",
            str(row["seconds"]), str(row["reason"]),
        )  # fmt: skip
    console.print(table)
