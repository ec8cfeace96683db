"""The command `nephro`. Each command imports what it needs when it runs, so that `--help` needs no torch."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import nephro_monai
from nephro_monai.cli.benchmark_evaluation import benchmark_evaluation
from nephro_monai.cli.check_dataset import check_dataset
from nephro_monai.cli.compare import compare
from nephro_monai.cli.cross_validate import cross_validate
from nephro_monai.cli.evaluate import evaluate
from nephro_monai.cli.evaluate_slices import evaluate_slices
from nephro_monai.cli.experiment import experiment
from nephro_monai.cli.fetch_kits19 import fetch_kits19
from nephro_monai.cli.install_weights import install_weights
from nephro_monai.cli.phantom import phantom
from nephro_monai.cli.predict import predict
from nephro_monai.cli.slice_statistics import slice_statistics
from nephro_monai.cli.stack_slices import stack_slices
from nephro_monai.cli.submit import submit
from nephro_monai.cli.systems import systems
from nephro_monai.cli.systems_table import systems_table
from nephro_monai.cli.train import train
from nephro_monai.errors import NephroError

__all__ = ["app", "main"]

app = typer.Typer(
    name="nephro",
    help="Kidney tumors on CT: find, outline, classify. Research software, not for clinical use.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)
app.command()(predict)
app.command()(phantom)
app.command()(train)
app.command()(evaluate)
app.command()(cross_validate)
app.command()(compare)
app.command()(stack_slices)
app.command()(evaluate_slices)
app.command()(experiment)
app.command()(submit)
app.command()(check_dataset)
app.command()(fetch_kits19)
app.command()(benchmark_evaluation)
app.command()(install_weights)
app.command()(slice_statistics)
app.command()(systems)
app.command()(systems_table)


def _version(show: bool) -> None:
    if show:
        typer.echo(nephro_monai.__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks.")] = False,
) -> None:
    """Options of `nephro` itself."""


def main() -> None:
    """Runs `nephro`; an error is one line: exit code 2 where the user can act on it, 1 where it is unexpected."""
    try:
        app()
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        from nephro_monai.engine.runner import one_line

        text = " ".join(str(error).split()) if isinstance(error, ValueError) else one_line(error)
        typer.secho(f"nephro: {text}", fg="red", err=True)
        sys.exit(2 if isinstance(error, NephroError | OSError | ValueError) else 1)


if __name__ == "__main__":
    main()
