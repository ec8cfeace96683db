"""`nephro train`: trains a bundle's network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["train"]


def train(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="Bundle to train, by name or path.")],
    data: Annotated[Path, typer.Option("--data", help="Folder in KiTS19 layout, as `nephro phantom` makes it.")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the run; runs/BUNDLE by default.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[int, typer.Option(help="Number of processes, one per device.")] = 1,
    precision: Annotated[
        str | None, typer.Option(help="32 or bf16-mixed; by default bf16-mixed where the hardware has it.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start anew over an earlier run in --out.")] = False,
    wandb: Annotated[bool, typer.Option("--wandb", help="Log to Weights & Biases (WANDB_MODE=offline works).")] = False,
    config: Annotated[
        list[str] | None,
        typer.Option(help="Further configuration of the bundle (such as full_size.json), or a path. Repeatable."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="ID=VALUE", help="New value for one id, such as epochs=2. Repeatable."),
    ] = None,
    init: Annotated[
        str | None, typer.Option(metavar="shipped|PATH", help="Start from the bundle's own weights, or from a file.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks.")] = False,
) -> None:
    """Train a bundle's network: weights, checkpoints and logs go to --out."""
    from nephro_monai.engine.bundles import parse_overrides
    from nephro_monai.engine.train import TrainOptions, train_bundle

    options = TrainOptions(
        data=data,
        out=out,
        device=device,
        devices=devices,
        precision=precision,
        resume=resume,
        overwrite=overwrite,
        wandb=wandb,
        configs=tuple(config or ()),
        overrides=parse_overrides(set_ or ()),
        init=init,
    )
    typer.echo(f"Weights: {train_bundle(bundle, options)}")
