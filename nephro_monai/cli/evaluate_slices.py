"""`nephro evaluate-slices`: predictions of stacked pictures against their masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["evaluate_slices"]


def evaluate_slices(
    predictions: Annotated[Path, typer.Argument(metavar="PRED", help="Output folder of `nephro predict`.")],
    data: Annotated[Path, typer.Option(help="Output folder of `nephro stack-slices`.")],
) -> None:
    """Compare the middle slices of predicted stacks with their masks."""
    from nephro_monai.evaluation.slice_pictures import score_slice_stacks

    scores = score_slice_stacks(predictions, data)
    for name, whole, mean in (
        ("kidney with tumor", scores.kidney, scores.kidney_by_slice),
        ("tumor", scores.tumor, scores.tumor_by_slice),
    ):
        known = "n/a" if whole is None or mean is None else f"{whole:.3f} over all slices as one, {mean:.3f} by slice"
        typer.echo(f"Dice of {name}: {known} ({scores.slices} slices)")
