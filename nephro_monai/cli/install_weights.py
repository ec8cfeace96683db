"""`nephro install-weights`: trained weights into a bundle, with their checksum."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["install_weights"]


def install_weights(
    trained: Annotated[Path, typer.Argument(help="Folder that `nephro train` wrote, or a weight file.")],
    bundle: Annotated[str, typer.Argument(help="Bundle, by name or path.")],
    name: Annotated[str, typer.Option(help="File name inside the bundle's models/.")] = "model.pt",
    half: Annotated[bool, typer.Option("--half/--full", help="Store in half or in full precision.")] = True,
) -> None:
    """Put trained weights into a bundle and list their checksum."""
    from nephro_monai.engine import install_weights as install

    path = install(trained, bundle, name, half)
    typer.echo(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
