"""`nephro benchmark-evaluation`: seconds and memory of an evaluation."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["benchmark_evaluation"]


def benchmark_evaluation(
    cases: Annotated[int, typer.Option(min=1, help="Label maps to compare.")] = 90,
    shape: Annotated[tuple[int, int, int], typer.Option(help="Slices, rows and columns.")] = (100, 512, 512),
    workers: Annotated[int, typer.Option(min=1, help="Cases compared at once.")] = 2,
) -> None:
    """Measure what `nephro evaluate` costs, on label maps made for it."""
    from rich.progress import Progress

    from nephro_monai.evaluation.benchmark import LIMIT_GIB, LIMIT_SECONDS
    from nephro_monai.evaluation.benchmark import benchmark_evaluation as measure

    if min(shape) < 16:
        raise typer.BadParameter(f"every axis of --shape needs at least 16 voxels, got {shape}.")
    with Progress(transient=True) as bar:
        task = bar.add_task("cases")
        cost = measure(cases, shape, workers, lambda done, total: bar.update(task, completed=done, total=total))
    size = " x ".join(map(str, shape))
    typer.echo(
        f"{cost.cases} cases of {size}: {cost.seconds:.0f} s ({cost.cpu_seconds:.0f} s of processor time), "
        f"peak {cost.peak_gib:.2f} GiB"
    )
    typer.echo(f"Aim for 90 cases of 100 x 512 x 512 on two cores: {LIMIT_SECONDS:.0f} s, {LIMIT_GIB:g} GiB")
