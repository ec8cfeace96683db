"""`nephro compare`: two systems on the same cases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["compare"]


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="Predictions of one system, in either layout.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Predictions of the other.")],
    data: Annotated[Path, typer.Option(help="Data folder with the truth, in KiTS19's layout.")],
    out: Annotated[Path | None, typer.Option(help="Folder for comparison.csv, .json and .md and a figure.")] = None,
    only_both: Annotated[
        bool, typer.Option("--only-both", help="Leave out cases that one side has not predicted; else they score 0.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Cases compared at once.")] = 2,
) -> None:
    """Say whether A is better than B: differences per case, their interval and a Wilcoxon test."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from nephro_monai.evaluation.compare import compare_predictions, comparison_lines, write_comparison

    for folder in (a, b, data):
        if not folder.is_dir():
            raise typer.BadParameter(f"there is no folder {folder}.")
    with Progress(transient=True) as bar:
        task = bar.add_task("cases")
        comparison = compare_predictions(
            a, b, data, only_both, workers, lambda done, total: bar.update(task, completed=done, total=total)
        )
    if out is not None:
        write_comparison(comparison, out)
    console = Console()
    table = Table(title=" against ".join(comparison.names), title_justify="left", box=SIMPLE_HEAD)
    for name in ("metric", "A", "B", "A - B", "95 % interval", "p", "better", "n"):
        table.add_column(name, justify="left" if name in ("metric", "95 % interval") else "right")
    for line in comparison_lines(comparison):
        table.add_row(*line)
    console.print(table)
    for note in (*comparison.notes, comparison.data):
        console.print(note, style="yellow", markup=False, highlight=False)
