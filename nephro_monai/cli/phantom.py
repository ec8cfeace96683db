"""`nephro phantom`: synthetic CT in KiTS19's layout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from nephro_monai.phantom.cohort import CohortConfig
    from nephro_monai.phantom.parameters import Parameters

__all__ = ["phantom"]


Out = Annotated[Path | None, typer.Option(help="Folder to write case_00000, case_00001, ... and kits.json to.")]
Kinds = Annotated[list[str] | None, typer.Option(help="malignant, benign, none or random; dealt out in turn.")]
FieldOfView = Annotated[
    str, typer.Option(help="abdomen, or only the surroundings of the kidneys or tumors, at full resolution.")
]
Preview = Annotated[
    Path | None, typer.Option(help="Folder for a page with pictures of every part of the generator; alone or not.")
]
Ranges = Annotated[
    Path | None, typer.Option(help="JSON with ranges to draw from instead of the packaged ones; see docs/phantom.md.")
]


def phantom(
    out: Out = None,
    cases: Annotated[int | None, typer.Option(min=1, help="How many cases.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
    labels: Annotated[Path | None, typer.Option(help="KiTS19 data folder with real label maps.")] = None,
    shape: Annotated[tuple[int, int, int] | None, typer.Option(help="Slices, rows, columns.")] = None,
    small: Annotated[bool, typer.Option("--small", help="48 x 160 x 160 over the same body.")] = False,
    exclude_cases: Annotated[str, typer.Option(help="Label maps not to use, such as 120-134,141-149.")] = "",
    only_cases: Annotated[str, typer.Option(help="Label maps to use alone.")] = "",
    kind: Kinds = None,
    phase: Annotated[str | None, typer.Option(help="none, arterial, nephrographic, excretory; else drawn.")] = None,
    second_phase: Annotated[str | None, typer.Option(help="Also writes imaging_PHASE.nii.gz; needs --phase.")] = None,
    tissues: Annotated[bool, typer.Option("--tissues", help="Write tissues.nii.gz too.")] = False,
    field_of_view: FieldOfView = "abdomen",
    first_index: Annotated[int, typer.Option(min=0, help="Number of the first case.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make cases again that exist.")] = False,
    parameters: Ranges = None,
    preview: Preview = None,
) -> None:
    """Makes synthetic abdominal CT with kidneys and tumors, for training and for trying things out."""
    from nephro_monai.phantom.cohort import CohortConfig, parse_case_ranges
    from nephro_monai.phantom.config import PhantomConfig
    from nephro_monai.phantom.parameters import read_parameters

    if (out is None) != (cases is None) or (out is None and preview is None):
        raise typer.BadParameter("Give --out and --cases to make cases, --preview for the page of pictures, or all.")
    excluded = parse_case_ranges(exclude_cases)
    only = parse_case_ranges(only_cases) if only_cases else None
    ranges = read_parameters(parameters)
    if preview is not None:
        _preview(preview, seed, labels, (excluded, only), ranges)
    if out is None or cases is None:
        return
    try:
        case = PhantomConfig.with_parameters(ranges, shape=shape, field_of_view=field_of_view)
        if field_of_view == "tumors":
            case = replace(case, no_tumor_share=0.0)
        cohort = CohortConfig(
            cases=cases, seed=seed,
            case=replace(case, phase=phase, second_phase=second_phase),  # type: ignore[arg-type]
            kinds=tuple(kind or ["random"]),  # type: ignore[arg-type]
            labels=labels,
            exclude_cases=excluded, only_cases=only,
            small=small, tissues=tissues, first_index=first_index, workers=workers, overwrite=overwrite,
        )  # fmt: skip
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    _generate(out, cohort)


def _preview(
    folder: Path,
    seed: int,
    labels: Path | None,
    excluded_and_only: tuple[frozenset[int], frozenset[int] | None],
    ranges: Parameters,
) -> None:
    """Writes the page of pictures with a progress bar, and says where it is."""
    from rich.progress import Progress

    from nephro_monai.phantom.cohort import list_label_maps
    from nephro_monai.reporting.phantom_preview import save_preview
    from nephro_monai.reporting.preview_parts import CaseMaker

    maps = tuple(list_label_maps(labels, *excluded_and_only)) if labels else ()
    with Progress() as bar:
        task = bar.add_task("preview", total=None)
        maker = CaseMaker(seed, maps, parameters=ranges)
        page = save_preview(folder, maker, lambda done, total: bar.update(task, completed=done, total=total))
    typer.echo(f"Pictures of the generator (synthetic): {page}")


def _generate(out: Path, cohort: CohortConfig) -> None:
    """Makes the cohort with a progress bar, and says what it holds."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from nephro_monai.phantom.cohort import generate_cohort

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task("synthetic cases", total=cohort.cases)
        records = generate_cohort(out, cohort, lambda done, total: bar.update(task, completed=done, total=total))
    counts = {name: sum(r["phantom"]["kind"] == name for r in records) for name in ("malignant", "benign", "none")}
    summary = ", ".join(f"{count} {name}" for name, count in counts.items())
    typer.echo(f"{len(records)} synthetic cases in {out}: {summary} (tumors).")


if __name__ == "__main__":
    typer.run(phantom)
