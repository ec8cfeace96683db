"""`nephro systems`: the papers' systems."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

__all__ = ["systems"]


def systems(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Lists the systems of the five papers: what they do, their bundles, baselines and reported figures."""
    from rich.console import Console

    from nephro_monai.systems import BASELINES, SYSTEMS

    if as_json:
        baselines = {name: [asdict(b) for b in BASELINES.values() if b.system == name] for name in SYSTEMS}
        listed = [asdict(system) | {"baselines": baselines[name]} for name, system in SYSTEMS.items()]
        typer.echo(json.dumps(listed, indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    for system in SYSTEMS.values():
        console.print(f"[bold]{system.name}[/bold]: {system.title}")
        console.print(f"  paper     {system.paper}", style="dim")
        for name in system.bundles:
            console.print(f"  bundle    {name}{' (borrowed)' if name in system.borrows else ''}")
        for baseline in (b for b in BASELINES.values() if b.system == system.name):
            console.print(f"  baseline  {baseline.name}: {baseline.title}")
        figures = ", ".join(f"{name} {value}" for name, value in system.reported.items())
        console.print(f"  reported  {figures} (the paper's own data)\n")
    typer.echo("Run one with: nephro predict SCAN --out DIR --system NAME")
