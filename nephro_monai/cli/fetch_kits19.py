"""`nephro fetch-kits19`: the public data set onto this disk."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["fetch_kits19"]

_BYTES_PER_CASE = 100_000_000
_NOTICE = "KiTS19 is its organizers' work, under CC BY-NC-SA 4.0: Heller et al. 2019, arXiv 1904.00445."


def fetch_kits19(
    out: Annotated[Path, typer.Option(help="Data folder to fill: case_00000/imaging.nii.gz and so on, kits.json.")],
    cases: Annotated[str, typer.Option(help="Which cases; 210 to 299 are the test set, without labels.")] = "0-299",
    parallel: Annotated[int, typer.Option(min=1, max=16, help="Files fetched at once.")] = 4,
    labels: Annotated[bool, typer.Option("--labels/--no-labels", help="Fetch label maps and kits.json too.")] = True,
    images_url: Annotated[
        str, typer.Option(envvar="NEPHRO_KITS19_IMAGES", help="Address under which case_00000.nii.gz lies.")
    ] = "",
    labels_url: Annotated[
        str,
        typer.Option(envvar="NEPHRO_KITS19_LABELS", help="Address under which case_00000/segmentation.nii.gz lies."),
    ] = "",
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds of silence that count as a stall.")] = 60.0,
    attempts: Annotated[int, typer.Option(min=1, help="Tries in a row without a new byte.")] = 5,
) -> None:
    """Download KiTS19 into its layout; run it again to go on after a stop."""
    from nephro_monai.cli.case_numbers import case_numbers
    from nephro_monai.data.fetch_kits19 import IMAGES_URL, LABELS_URL, Kits19Addresses
    from nephro_monai.data.fetch_kits19 import fetch_kits19 as fetch
    from nephro_monai.io.download import Transfer

    numbers = case_numbers(cases)
    if numbers[-1] > 299:
        raise typer.BadParameter(f"--cases: KiTS19 has the cases 0 to 299, got {numbers[-1]}.")
    typer.echo(_NOTICE)
    _warn_of_space(out, len(numbers))
    addresses = Kits19Addresses(images_url or IMAGES_URL, labels_url or LABELS_URL)
    with _progress() as bar:
        watch = _Watch(bar, len(addresses.files(numbers, labels)))
        report = fetch(out, numbers, addresses, labels, parallel, Transfer(timeout, attempts), watch)
    for name, reason in report.failed:
        typer.secho(f"{name}: {reason}", fg="red")
    typer.echo(f"{len(report.done)} files fetched, {len(report.skipped)} there already, {len(report.failed)} failed.")
    if report.failed:
        typer.echo("Run the same command again to fetch what failed; partial files are gone on with.")
        raise typer.Exit(1)


def _progress() -> Progress:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    return Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), transient=True
    )


class _Watch:
    """One line for all files and one for each that is being fetched."""

    def __init__(self, bar: Progress, files: int) -> None:
        self.bar = bar
        self.files = files
        self.finished = 0
        self.all = bar.add_task(self._title(), total=None)
        self.tasks: dict[str, TaskID] = {}
        self.here: dict[str, int] = {}

    def __call__(self, name: str, state: str, here: int, total: int | None) -> None:
        if state == "active":
            if name not in self.tasks:
                self.tasks[name] = self.bar.add_task(name, total=total)
            self.bar.update(self.tasks[name], completed=here, total=total)
            self.here[name] = here
        else:
            self.finished += 1
            if name in self.tasks:
                self.bar.remove_task(self.tasks.pop(name))
        self.bar.update(self.all, description=self._title(), completed=sum(dict(self.here).values()))

    def _title(self) -> str:
        return f"{self.finished} of {self.files} files"


def _warn_of_space(out: Path, cases: int) -> None:
    """Images of KiTS19 have about 100 MB each."""
    existing = next((folder for folder in (out, *out.absolute().parents) if folder.is_dir()), None)
    if existing is not None and (free := shutil.disk_usage(existing).free) < cases * _BYTES_PER_CASE:
        need = cases * _BYTES_PER_CASE / 1e9
        typer.secho(f"{cases} cases need about {need:.0f} GB; {existing} has {free / 1e9:.0f} GB free.", fg="yellow")
