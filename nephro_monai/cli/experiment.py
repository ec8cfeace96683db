"""`nephro experiment`: a table of one of the papers, theirs beside ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["experiment"]


def experiment(
    table: Annotated[
        str | None, typer.Argument(metavar="[TABLE]", help="Such as colornephronet-2; none lists them.")
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Folder in KiTS19 layout.")] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for trainings, scores and tables.")] = Path("experiments"),
    small: Annotated[
        bool, typer.Option("--small", help="Tiny networks and few steps: shows that everything runs.")
    ] = False,
    seeds: Annotated[int, typer.Option(min=1, help="How many; each with splits and starting weights of its own.")] = 1,
    only: Annotated[list[str] | None, typer.Option(help="Run this row only. Repeatable.")] = None,
    pretrained: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[=FILE]", help="Start from these weights, such as ImageNet. Repeatable."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="ID=VALUE", help="New value for an id of every training. Repeatable."),
    ] = None,
    real: Annotated[
        Path | None,
        typer.Option(help="Folder in KiTS19 layout, such as real scans, to score tables of whole scans on as well."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    progress: Annotated[bool, typer.Option("--progress", help="Show the trainings' own bars.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks.")] = False,
) -> None:
    """Run a table of one of the papers: the paper's figures beside ours. A stopped run goes on where it was."""
    from nephro_monai.engine.bundles import parse_overrides
    from nephro_monai.evaluation.experiment import run_experiment
    from nephro_monai.evaluation.experiment_plan import list_experiments, read_experiment
    from nephro_monai.evaluation.experiment_table import print_experiment, write_experiment
    from nephro_monai.evaluation.experiment_trainings import ExperimentOptions

    if table is None:
        for name, title in list_experiments().items():
            typer.echo(f"{name:20} {title}")
        raise typer.Exit
    if data is None:
        raise typer.BadParameter("give --data DIR, a folder in KiTS19's layout (such as `nephro phantom` makes).")
    weights = [text.partition("=") for text in pretrained or ()]
    options = ExperimentOptions(
        data=data, out=out, seeds=seeds, device=device, overrides=parse_overrides(set_ or ()),
        pretrained={name: file or None for name, _, file in weights}, progress=progress,
        say=lambda text: typer.secho(text, dim=True, err=True), real=real,
    )  # fmt: skip
    plan = read_experiment(table, small)
    result = run_experiment(plan, options, only or (), lambda partial: write_experiment(partial, out))
    write_experiment(result, out)
    print_experiment(result)
    typer.echo(f"{out / plan.name}.md, .csv and .json")
