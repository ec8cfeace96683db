"""What a preview page is made of, the cases it shows, and the numbers in its captions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nephro_monai.constants import TUMOR
from nephro_monai.phantom import PhantomCase, PhantomConfig, Tissue, generate_case
from nephro_monai.phantom.generate import Watch
from nephro_monai.phantom.parameters import PARAMETERS, Parameters
from nephro_monai.reporting.phantom_planes import Picture, spacing_mm

__all__ = [
    "CaseMaker", "Group", "Panel", "Section", "body_size_mm", "describe_grid", "describe_tumor", "mean_hu", "say_name",
    "say_phase", "tumor_mm",
]  # fmt: skip

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Panel:
    """Pictures of one thing with a caption."""

    title: str
    caption: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Group:
    """Panels that belong side by side; no title for the only group of a section."""

    panels: tuple[Panel, ...]
    title: str = ""


@dataclass(frozen=True)
class Section:
    """One part of the generator.

    Attributes:
        name: For links.
        title: Heading.
        text: What to look at.
        groups: The pictures.
        columns: Panels side by side on a wide screen.
    """

    name: str
    title: str
    text: str
    groups: tuple[Group, ...]
    columns: int = 4


@dataclass(frozen=True)
class CaseMaker:
    """Makes the cases of a page; the same number gives the same anatomy.

    Attributes:
        seed: Of the page.
        label_maps: KiTS19 segmentations to build around, dealt out by number; none for procedural kidneys.
        body_shape: Slices, rows, columns of scans that show the whole body.
        parameters: Ranges of what is drawn.
    """

    seed: int = 0
    label_maps: tuple[Path, ...] = ()
    body_shape: Shape = (72, 256, 256)
    parameters: Parameters = PARAMETERS

    def config(self, number: int, **settings: Any) -> PhantomConfig:
        """Config of case `number`, without an unusual finding unless asked for."""
        label_map = self.label_maps[number % len(self.label_maps)] if self.label_maps else None
        if "field_of_view" not in settings:
            settings.setdefault("shape", self.body_shape)
        return PhantomConfig.with_parameters(
            self.parameters, **{"label_map": label_map, "special": "ordinary", **settings}
        )

    def make(self, number: int, watch: Watch = lambda part, tissues: None, **settings: Any) -> PhantomCase:
        """Case `number` with its ideal HU; `watch` sees it grow."""
        return generate_case(self.config(number, **settings), (self.seed, number), keep_ideal=True, watch=watch)


def say_name(name: str) -> str:
    """KiTS19's name of a subtype or a special finding, for people."""
    known = {"clear_cell_rcc": "clear cell RCC"}
    return known.get(name, name.replace("_", " "))


def say_phase(phase: str) -> str:
    """A contrast phase as a title."""
    return "Without contrast" if phase == "none" else phase.capitalize()


def tumor_mm(case: PhantomCase) -> float:
    """Largest diameter of a case's largest tumor, 0 without one."""
    return 10 * float(case.record["radiographic_size"] or 0)


def mean_hu(case: PhantomCase, tissue: Tissue) -> str:
    """Mean ideal HU of a tissue, "-" where the case shows none."""
    where = case.tissues == tissue
    if case.ideal_hu is None or not where.any():
        return "-"
    return f"{float(case.ideal_hu[where].mean()):.0f}"


def describe_grid(case: PhantomCase, phase: bool = True) -> str:
    """Spacing, slices, contrast phase unless unwanted and, where there is one, the label map's case."""
    thickness, row, _ = spacing_mm(case)
    facts = case.record["phantom"]
    parts = [f"pixels {row:.2f} mm, {case.image.shape[0]} slices of {thickness:.2f} mm"]
    if phase:
        parts.append("without contrast" if facts["phase"] == "none" else f"{facts['phase']} phase")
    if facts["source_label_case"]:
        parts.append(f"label map {facts['source_label_case']}")
    return ", ".join(parts)


def describe_tumor(case: PhantomCase) -> str:
    """Diameter, HU of the solid part against its kidney, and the signs of a case's tumors."""
    facts = case.record["phantom"]
    if not (case.label == TUMOR).any():
        return "no tumor"
    signs = ", ".join(say_name(name) for name in facts["features"]) or "no sign"
    solid, cortex = mean_hu(case, Tissue.TUMOR_SOLID), mean_hu(case, Tissue.KIDNEY_CORTEX)
    return f"{tumor_mm(case):.0f} mm, solid part {solid} HU, cortex {cortex} HU, {signs}"


def body_size_mm(case: PhantomCase) -> tuple[float, float]:
    """Width and depth of the body in the middle slice."""
    body = ~np.isin(case.tissues[case.tissues.shape[0] // 2], (Tissue.AIR, Tissue.TABLE))
    _, row, column = spacing_mm(case)
    return float(body.any(axis=0).sum()) * column, float(body.any(axis=1).sum()) * row
