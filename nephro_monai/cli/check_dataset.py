"""`nephro check-dataset`: what a data folder holds, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["check_dataset"]


def check_dataset(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="Data folder in KiTS19's layout.")],
    cases: Annotated[str, typer.Option(help="Cases that must be there, such as 0-299.")] = "",
    out: Annotated[Path | None, typer.Option(help="CSV file to write the table to.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Cases read at once; each holds one image in memory.")] = 2,
) -> None:
    """Read every file of a data folder: shapes, spacings, orientations, labels, HU, what is missing or doubtful."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from nephro_monai.cli.case_numbers import case_numbers
    from nephro_monai.evaluation.dataset_check import check_dataset as check
    from nephro_monai.evaluation.dataset_check import write_checks

    if not data.is_dir():
        raise typer.BadParameter(f"{data} is no folder; give the one with case_00000, case_00001, ...")
    expected = case_numbers(cases) if cases else ()
    with Progress(transient=True) as bar:
        task = bar.add_task("cases")
        rows, notes = check(data, expected, workers, lambda done, total: bar.update(task, completed=done, total=total))
    if out is not None:
        write_checks(rows, out)
    console = Console()
    table = Table(title=f"{data}", title_justify="left", box=SIMPLE_HEAD)
    for name in ("case", "shape", "spacing mm", "axes", "dtype", "labels", "HU", ""):
        table.add_column(name, no_wrap=name == "case")
    for row in rows:
        verdict = "[red]error[/]" if row.errors else ("[yellow]note[/]" if row.notes else "[green]ok[/]")
        table.add_row(row.case, row.shape, row.spacing_mm, row.axes, row.dtype, row.labels, row.hu, verdict)
    console.print(table)
    for row in rows:
        for style, texts in (("red", row.errors), ("yellow", row.notes)):
            for text in texts:
                console.print(f"{row.case}: {text}", style=style, markup=False, highlight=False, soft_wrap=True)
    for note in notes:
        console.print(note, style="yellow", markup=False, highlight=False, soft_wrap=True)
    faulty = sum(bool(row.errors) for row in rows)
    console.print(f"{len(rows)} cases, {faulty} with errors.", highlight=False)
    raise typer.Exit(1 if faulty else 0)
