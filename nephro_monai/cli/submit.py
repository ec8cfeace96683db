"""`nephro submit`: predictions of the test cases, checked and zipped for the challenge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["submit"]


def submit(
    predictions: Annotated[
        Path,
        typer.Argument(metavar="PRED", help="Output folder of `nephro predict`, or of prediction_00210.nii.gz files."),
    ],
    images: Annotated[Path, typer.Option(help="Folder with the test images, case_00210/imaging.nii.gz and so on.")],
    out: Annotated[Path, typer.Option(help="Zip file to write.")] = Path("predictions.zip"),
    cases: Annotated[str, typer.Option(help="The cases to submit.")] = "210-299",
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Zip without the missing cases, and say what that costs.")
    ] = False,
) -> None:
    """Check predictions of KiTS19's test cases, and zip them if they are clean."""
    from rich.progress import Progress

    from nephro_monai.cli.case_numbers import case_numbers
    from nephro_monai.evaluation.submission import check_submission, write_submission

    numbers = case_numbers(cases)
    with Progress(transient=True) as bar:
        task = bar.add_task("cases")
        found = check_submission(
            predictions, images, numbers, allow_missing,
            lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    for offence in found.offences:
        typer.echo(offence)
    if found.ignored:
        names = ", ".join(found.ignored[:3]) + (", ..." if len(found.ignored) > 3 else "")
        typer.echo(f"Not asked for and left out: {names} ({len(found.ignored)} in all).")
    if found.cost:
        typer.secho(found.cost, fg="yellow")
    if found.offences:
        count = len(found.offences)
        typer.secho(f"{out} was not written: {count} offence{'s' if count > 1 else ''}.", fg="red", err=True)
        raise typer.Exit(1)
    write_submission(found, out)
    typer.echo(f"{out}: {len(found.files)} of {len(found.cases)} cases, {out.stat().st_size / 1e6:.1f} MB.")
