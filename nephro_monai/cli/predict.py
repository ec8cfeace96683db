"""`nephro predict`: scans in; outlines, diagnosis and report out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["predict"]

_OPTIONS_OF_IDS = {
    "device_name": "--device", "inputs": "INPUT", "output_dir": "--out", "overwrite": "--overwrite",
    "debug": "--debug", "seed": "--seed",
}  # fmt: skip


def _checked(changed: dict[str, Any]) -> dict[str, Any]:
    """The ids of `--set`, none of which has an option of its own."""
    for name, option in _OPTIONS_OF_IDS.items():
        if name in changed:
            raise typer.BadParameter(f"--set {name}=... would have no effect; give {option} instead.")
    return changed


def predict(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="A NIfTI, MetaImage or NRRD file, a DICOM series folder, a folder of scans, or a KiTS19 folder.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the results, one subfolder per case.")],
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    bundle: Annotated[str, typer.Option(help="Cascade bundle, by name or path.")] = "nephro_cascade",
    system: Annotated[
        str | None, typer.Option(help="A paper's system or baseline instead of the default; see `nephro systems`.")
    ] = None,
    folds: Annotated[
        Path | None, typer.Option(help="Output of `nephro cross-validate`: all its folds predict, and vote.")
    ] = None,
    config: Annotated[
        list[str] | None,
        typer.Option(help="Further configuration of the bundle (such as full_size.json), or a path. Repeatable."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="ID=VALUE", help="New value for one id. Repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random generators.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do finished cases again.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks.")] = False,
) -> None:
    """Find and outline kidneys and tumors, and vote: malignant, benign or undetermined."""
    from nephro_monai.engine import cascade_parser, instantiate, parse_overrides
    from nephro_monai.engine.summary import print_summary
    from nephro_monai.systems import find_configurations

    if folds is not None and system is not None:
        raise typer.BadParameter("--folds brings its own system; leave --system out.")
    overrides = {
        **({"folds_dir": str(folds)} if folds else {}),
        **_checked(parse_overrides(set_ or ())),
        "device_name": device,
        "inputs": [str(path) for path in inputs],
        "output_dir": str(out),
        "overwrite": overwrite,
        "debug": debug or "--debug" in sys.argv,  # before `predict` or behind it
        "seed": seed,
        "arguments": sys.argv[1:],
    }
    chosen = ["ensemble.json"] if folds else find_configurations(system) if system else ()
    parser = cascade_parser(bundle, [*chosen, *(config or [])], overrides)
    outcomes = instantiate(parser, "evaluator").run()
    print_summary(outcomes, out)
    raise typer.Exit(1 if any(outcome.status == "failed" for outcome in outcomes) else 0)
