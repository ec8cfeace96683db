"""The report page: one HTML file that holds everything it shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2

import nephro_monai
from nephro_monai.constants import COLORIZATION_WINDOW_HU, DISCLAIMER
from nephro_monai.reporting import findings
from nephro_monai.reporting.case_view import CaseView
from nephro_monai.reporting.pictures import jpeg, jpeg_data_uri, overlay_map, spread, window_to_gray
from nephro_monai.reporting.slice_viewer import STORED_WINDOW_HU, WINDOWS_HU, SliceViewer, build_viewer

__all__ = ["MAXIMUM_CARDS", "render_report"]

MAXIMUM_CARDS = 48
"""Tumor slices shown as pictures; the chart and the counts hold all of them."""

_CROP_PIXELS = 160


def render_report(view: CaseView, provenance: Mapping[str, Any] | None = None) -> str:
    """The page of one case: verdict, evidence, slices with outlines, crops with their votes, tables, facts.

    It loads nothing from anywhere and runs from a file, without a server.

    Args:
        view: The case.
        provenance: By stage, the bundle, version, weights, checksum and training data of its network.

    Returns:
        HTML, about 1 to 5 MB.
    """
    places = spread(range(len(view.votes)), MAXIMUM_CARDS)
    viewer = build_viewer(view, wanted=[view.votes[place].slice_index for place in places])
    spacing = " x ".join(f"{s:.2g}" for s in view.spacing_mm)
    return _template().render(
        name=view.name, view_warnings=view.warnings, diagnosis=view.diagnosis, disclaimer=DISCLAIMER,
        version=nephro_monai.__version__,
        notices=findings.training_notices(provenance), evidence=findings.evidence(view),
        facts_short=f"voxels {spacing} mm", viewer=viewer, windows=_windows(), jumps=_jumps(view, viewer),
        kidneys=findings.kidney_rows(view), tumors=findings.tumor_rows(view), chart=findings.probability_dots(view),
        cards=[card | _card_pictures(view, card["place"]) for card in findings.crop_cards(view, places)],
        vote_count=len(view.votes), with_maps=bool(len(view.maps)), facts=findings.fact_rows(view),
        bundles=findings.bundle_rows(provenance),
        seconds=findings.second_rows(view), fallback=bool(view.localization.get("fallback")),
    )  # fmt: skip


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nephro_monai.reporting"), autoescape=jinja2.select_autoescape(["html", "j2"]),
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("report.html.j2")


def _windows() -> list[dict[str, Any]]:
    """The page's windows as slope and intercept on the gray of the stored pictures."""
    low, high = STORED_WINDOW_HU
    return [
        {
            "name": name, "lower": f"{lower:.0f}", "upper": f"{upper:.0f}",
            "slope": round((high - low) / (upper - lower), 4), "intercept": round((low - lower) / (upper - lower), 4),
        }
        for name, (lower, upper) in WINDOWS_HU.items()
    ]  # fmt: skip


def _jumps(view: CaseView, viewer: SliceViewer) -> list[dict[str, Any]]:
    """Buttons that lead to the middle of each tumor and kidney."""
    targets = [(f"Tumor T{tumor.index}", tumor.box) for tumor in view.tumors[:4]]
    targets += [(f"{kidney.side.capitalize()} kidney", kidney.box) for kidney in view.kidneys]
    middles = [(name, viewer.nearest((box.zmin + box.zmax) // 2)) for name, box in targets]
    return [{"name": name, "z": viewer.slices[place]["z"]} for name, place in middles]


def _card_pictures(view: CaseView, place: int) -> dict[str, str]:
    """The CT crop, the colorized one and the one with its map as pictures; empty where a step was left out."""
    size = (_CROP_PIXELS, _CROP_PIXELS)
    gray = color = looked = ""
    if len(view.crops):
        pixels = window_to_gray(view.crops[place, 0].numpy(), COLORIZATION_WINDOW_HU)
        gray = jpeg_data_uri(jpeg(pixels, size, 80))
        if len(view.maps):
            looked = jpeg_data_uri(jpeg(overlay_map(pixels, view.maps[place, 0].numpy()), size, 80))
    if len(view.colors):
        rgb = (view.colors[place].clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
        color = jpeg_data_uri(jpeg(rgb.numpy(), size, 85))
    return {"gray": gray, "color": color, "map": looked}
