"""`nephro cross-validate`: how good a system is on cases that it has not seen."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["cross_validate"]


class _Stratify(StrEnum):
    MALIGNANCY = "malignancy"
    NONE = "none"


_Calibration = Annotated[
    float,
    typer.Option(min=0, max=0.5, help="Share of each fold's training patients kept to fit the verdict's limits."),
]
_Sensitivity = Annotated[
    float | None,
    typer.Option(min=0.5, max=0.999, help="Abstain so that this share of malignant tumors is not called benign."),
]
_Keep = Annotated[
    list[str] | None,
    typer.Option(metavar="BUNDLE", help="Bundle to use as it comes, or 'borrowed'; not trained. Repeatable."),
]
_Config = Annotated[
    list[str] | None,
    typer.Option(help="Configuration of the bundles that have it, such as full_size.json. Repeatable."),
]
_CascadeConfig = Annotated[
    list[str] | None, typer.Option(help="Configuration of the cascade, over the system's. Repeatable.")
]
_Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="[BUNDLE:]ID=VALUE",
        help="New value for one id of train.json, such as epochs=2 (nephro_cascade:ID=VALUE: of the prediction). "
        "Repeatable.",
    ),
]


def cross_validate(
    system: Annotated[str, typer.Argument(metavar="SYSTEM", help="One of those that `nephro systems` lists.")],
    data: Annotated[Path, typer.Option("--data", help="Folder in KiTS19 layout, with kits.json.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the folds; a run that was stopped goes on in it.")],
    folds: Annotated[int, typer.Option(min=2, help="Number of folds.")] = 5,
    stratify: Annotated[_Stratify, typer.Option(help="What the folds are stratified by.")] = _Stratify.MALIGNANCY,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the folds.")] = 0,
    folds_file: Annotated[
        Path | None, typer.Option(help="folds.json of another run on the same data, for the same folds.")
    ] = None,
    calibration: _Calibration = 0.2,
    sensitivity: _Sensitivity = None,
    keep: _Keep = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[int | None, typer.Option(min=1, help="CUDA devices to spread the folds over; all else.")] = None,
    config: _Config = None,
    cascade_config: _CascadeConfig = None,
    set_: _Set = None,
    progress: Annotated[bool, typer.Option(help="Draw bars.")] = True,
) -> None:
    """Train a system fold by fold, predict and score the cases each fold held out, and calibrate its verdicts."""
    from rich.console import Console

    from nephro_monai.evaluation.cross_validation import CrossValidationRun
    from nephro_monai.evaluation.cross_validation import cross_validate as run_cross_validation
    from nephro_monai.evaluation.cross_validation_table import print_result
    from nephro_monai.evaluation.fold_settings import FoldSettings

    console = Console()
    settings = FoldSettings(
        system=system, folds=folds, stratify=stratify.value, seed=seed, calibration_fraction=calibration,
        sensitivity=sensitivity, keep=tuple(keep or ()), configs=tuple(config or ()),
        cascade_configs=tuple(cascade_config or ()), settings=tuple(set_ or ()),
    )  # fmt: skip
    run = CrossValidationRun(data, out, folds_file, device, devices, progress)

    def report(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    result = run_cross_validation(settings, run, report)
    print_result(result, console)
    console.print(f"Results: {out}", highlight=False)
    raise typer.Exit(1 if any(result.together["cases"][status] for status in ("missing", "failed")) else 0)
