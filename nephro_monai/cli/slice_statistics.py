"""`nephro slice-statistics`: mean and standard-deviation slice of a training set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["slice_statistics"]


def slice_statistics(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="Bundle of a slice network, by name or path.")],
    data: Annotated[Path, typer.Option("--data", help="Folder in KiTS19 layout, the training's.")],
    out: Annotated[Path, typer.Option("--out", help="File to write, such as statistics.pt.")],
    config: Annotated[
        list[str] | None,
        typer.Option(help="Further configuration of the bundle (such as full_size.json), or a path. Repeatable."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="ID=VALUE", help="New value for one id. Repeatable.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks.")] = False,
) -> None:
    """Compute the mean and deviation slices that a slice network's weights carry; `nephro train` does so by itself."""
    from nephro_monai.engine.bundles import parse_overrides
    from nephro_monai.engine.slice_statistics import write_slice_statistics

    path = write_slice_statistics(bundle, data, out, config or (), parse_overrides(set_ or ()))
    typer.echo(f"Slice statistics: {path}")
