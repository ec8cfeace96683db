"""`nephro stack-slices`: pictures of slices become small volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["stack_slices"]


def stack_slices(
    pictures: Annotated[Path, typer.Argument(help="Folder of gray 8-bit PNG slices, value = HU clipped to 0..255.")],
    masks: Annotated[Path, typer.Argument(help="Folder of masks of the same names: blue kidney, red tumor.")],
    out: Annotated[Path, typer.Option(help="Folder to write <name>/imaging.nii.gz and segmentation.nii.gz to.")],
    copies: Annotated[int, typer.Option(min=1, help="Slices of each volume, an odd number.")] = 9,
    spacing: Annotated[
        tuple[float, float, float], typer.Option(help="Pixel size along columns and rows, distance of copies, in mm.")
    ] = (0.8, 0.8, 3.0),
) -> None:
    """Repeat published pictures of slices to volumes that the cascade can read, in KiTS19's layout."""
    from nephro_monai.evaluation.slice_pictures import stack_slice_pictures

    if copies % 2 == 0:
        raise typer.BadParameter(f"--copies must be odd, so that one slice is the middle; got {copies}.")
    names = stack_slice_pictures(pictures, masks, out, copies, spacing)
    typer.echo(f"{len(names)} volumes of {copies} slices in {out}. Next: nephro predict {out} --out RESULTS")
