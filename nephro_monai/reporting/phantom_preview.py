"""The preview page: one HTML file with pictures of every part of the generator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jinja2

import nephro_monai
from nephro_monai.constants import DISCLAIMER
from nephro_monai.io.atomic import atomic_path
from nephro_monai.reporting.phantom_planes import ABDOMEN_WINDOW_HU
from nephro_monai.reporting.preview_anatomy import (
    show_bodies,
    show_build,
    show_kidneys,
    show_phases,
    show_specials,
    show_tumors,
)
from nephro_monai.reporting.preview_parts import CaseMaker, Section
from nephro_monai.reporting.preview_scanner import show_acquisition, show_on_the_fly, show_second_phase
from nephro_monai.reporting.tissue_colors import TISSUE_GROUPS

__all__ = ["PREVIEW_FILE", "PREVIEW_SECTIONS", "render_preview", "save_preview"]

PREVIEW_FILE = "phantom_preview.html"

PREVIEW_SECTIONS: tuple[Callable[[CaseMaker], Section], ...] = (
    show_build,
    show_bodies,
    show_kidneys,
    show_tumors,
    show_phases,
    show_acquisition,
    show_second_phase,
    show_specials,
    show_on_the_fly,
)
"""In the order of the page."""


def save_preview(
    folder: Path, maker: CaseMaker | None = None, progress: Callable[[int, int], None] | None = None
) -> Path:
    """Makes the cases and writes the page.

    Args:
        folder: Where `PREVIEW_FILE` goes; made if it is missing.
        maker: Makes the cases; procedural ones of seed 0 by default.
        progress: Called with (done, total) after every section.

    Returns:
        The file.

    Raises:
        TrainingDataError: If a label map cannot be used.
        OutputError: If the file cannot be written.
    """
    maker = maker or CaseMaker()
    sections = []
    for done, show in enumerate(PREVIEW_SECTIONS, start=1):
        sections.append(show(maker))
        if progress is not None:
            progress(done, len(PREVIEW_SECTIONS))
    path = folder / PREVIEW_FILE
    with atomic_path(path) as temporary:
        temporary.write_text(render_preview(sections, maker), encoding="utf-8")
    return path


def render_preview(sections: list[Section], maker: CaseMaker) -> str:
    """The page as HTML that loads nothing from anywhere."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nephro_monai.reporting"), autoescape=jinja2.select_autoescape(["html", "j2"]),
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    source = f"real label maps ({len(maker.label_maps)})" if maker.label_maps else "procedural kidneys and tumors"
    return environment.get_template("phantom_preview.html.j2").render(
        sections=sections, legend={name: color for name, (color, _) in TISSUE_GROUPS.items()}, seed=maker.seed,
        source=source, window=ABDOMEN_WINDOW_HU, disclaimer=DISCLAIMER, version=nephro_monai.__version__,
    )  # fmt: skip
