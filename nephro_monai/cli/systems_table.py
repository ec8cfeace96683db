"""`nephro systems-table`: evaluated systems side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["systems_table"]


def systems_table(
    folder: Annotated[Path, typer.Argument(help="Folder with <system>/results and <system>/evaluation.")],
    system: Annotated[list[str] | None, typer.Option(help="Only these, in this order. Repeatable.")] = None,
) -> None:
    """Print the figures of several systems on the same cases, and write them to FOLDER/systems.md."""
    from nephro_monai.evaluation.systems_table import print_systems, read_systems, write_systems

    rows = read_systems(folder, system or ())
    write_systems(rows, folder / "systems.md")
    print_systems(rows)
