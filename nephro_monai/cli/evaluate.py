"""`nephro evaluate`: predictions against the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["evaluate"]


def evaluate(
    predictions: Annotated[
        Path,
        typer.Argument(
            metavar="PRED", help="Output folder of `nephro predict`, or of prediction_00000.nii.gz files, or one file."
        ),
    ],
    data: Annotated[Path | None, typer.Option(help="Data folder with the truth, in KiTS19's layout.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for metrics.csv, lesions.csv, summary.json, summary.md and figures.")
    ] = None,
    only_predicted: Annotated[
        bool, typer.Option("--only-predicted", help="Leave out cases without a prediction; else they score 0.")
    ] = False,
    truth: Annotated[Path | None, typer.Option(help="Instead of --data: an organ map of one scan.")] = None,
    kidney_labels: Annotated[str, typer.Option(help="With --truth: its kidney labels, such as 2,3.")] = "2,3",
    workers: Annotated[int, typer.Option(min=1, help="Cases compared at once.")] = 2,
) -> None:
    """Compare predictions with the truth: the challenge's Dice, surfaces, lesions and malignancy, with intervals."""
    if (data is None) == (truth is None):
        raise typer.BadParameter("give either --data DIR (KiTS19's layout) or --truth ORGAN_MAP.")
    if not predictions.exists():
        raise typer.BadParameter(f"there is no {predictions}.")
    if data is not None:
        _evaluate_folder(predictions, data, out, only_predicted, workers)
    elif truth is not None:
        _compare_organs(predictions, truth, kidney_labels)


def _evaluate_folder(predictions: Path, data: Path, out: Path | None, only_predicted: bool, workers: int) -> None:
    from rich.progress import Progress

    from nephro_monai.evaluation import (
        evaluate_cohort,
        print_table,
        write_figures,
        write_tables,
        write_worst_cases,
    )

    with Progress(transient=True) as bar:
        task = bar.add_task("cases")

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        rows, summary = evaluate_cohort(predictions, data, only_predicted, progress, workers)
    if out is not None:
        footnote = f"{summary['data']['description']} {summary['disclaimer']}"
        pictures = [*write_figures(rows, summary, out), *write_worst_cases(rows, predictions, data, out, footnote)]
        write_tables(rows, summary, out, pictures)
    print_table(rows, summary)
    raise typer.Exit(1 if any(row.status != "done" for row in rows) else 0)


def _compare_organs(prediction: Path, truth: Path, kidney_labels: str) -> None:
    from nephro_monai.evaluation import compare_with_organ_map

    try:
        labels = [int(label) for label in kidney_labels.replace(",", " ").split()]
    except ValueError as error:
        raise typer.BadParameter(f"--kidney-labels takes numbers such as 2,3; got '{kidney_labels}'.") from error
    overlap = compare_with_organ_map(prediction, truth, labels)
    covered = ", ".join(f"{100 * share:.0f} % of label {label}" for label, share in overlap.covered.items())
    typer.echo(f"Kidney Dice {overlap.dice:.3f} (labels {', '.join(map(str, labels))} of {truth.name})")
    typer.echo(f"Predicted {overlap.predicted_ml:.1f} ml, true {overlap.true_ml:.1f} ml; covered: {covered}")
