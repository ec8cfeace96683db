"""Axial slabs of tissue maps, a few slices thick, from which the slices of 2-D networks are synthesized."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch

from nephro_monai.data.case_volumes import cut_every_case
from nephro_monai.data.kidney_crops import box_without_kidney
from nephro_monai.data.tissue_crops import read_tissue_map
from nephro_monai.geometry import find_components
from nephro_monai.geometry.axial import axial_to_volume
from nephro_monai.geometry.axial_slices import kidney_windows
from nephro_monai.geometry.kidney_split import split_kidneys
from nephro_monai.geometry.measurements import spacing_mm
from nephro_monai.geometry.tumor_slices import nearest_axial_crops

__all__ = ["SlabCenter", "SlabSettings", "cut_tissue_slabs"]

SlabCenter = Literal["kidney", "window", "body"]
"""Where slabs lie in the plane: around the middle of each kidney's box (SCNet, tumor slices), on the crops that stage 2
of the ENets takes of its middle slice, or on the body (whole slices)."""

Place = tuple[float, float, float]


@dataclass(frozen=True)
class SlabSettings:
    """Which slabs are cut, and how.

    Attributes:
        spacing_mm: Of pixels and slices (x, y, z); the pixels are square.
        size: Rows and columns of a slab, with what augmentation looks into.
        slices: Of a slab. The scanner's slice thickness needs neighbors: the outermost two on each side serve for that.
        center: "kidney", "window" or "body", see `SlabCenter`.
        window: Size of the crops of "window".
        slabs: Per kidney ("kidney") or per case, evenly spread along the kidneys; fewer where there are fewer slices.
        negative_share: Slabs without a kidney in the middle slice per slab with one. Around kidneys they lie somewhere
            in the body, as the localizer's false boxes; else above and below the kidneys.
        margin_mm: Above and below each kidney that is taken along with it ("kidney").
        smallest_kidney_ml: Smaller separate pieces of label have no slabs of their own.
        seed: Of the places without a kidney.
    """

    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 3.0)
    size: int = 190
    slices: int = 7
    center: SlabCenter = "kidney"
    window: int = 128
    slabs: int = 8
    negative_share: float = 0.2
    margin_mm: float = 9.0
    smallest_kidney_ml: float = 5.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuses settings that cannot be cut.

        Raises:
            ValueError: If a number is out of range, the pixels are not square, or the center is unknown.
        """
        if self.center not in get_args(SlabCenter):
            raise ValueError(f"center is one of {', '.join(get_args(SlabCenter))}, got {self.center!r}.")
        if len(self.spacing_mm) != 3 or min(self.spacing_mm) <= 0 or self.spacing_mm[0] != self.spacing_mm[1]:
            raise ValueError(f"spacing_mm needs three numbers above 0 (x, y, z), x as y, got {self.spacing_mm}.")
        if min(self.size, self.slices, self.window, self.slabs) < 1:
            raise ValueError(f"Sizes and numbers of slices and slabs must be at least 1, got {self}.")
        if min(self.negative_share, self.margin_mm, self.smallest_kidney_ml) < 0:
            raise ValueError(f"Shares, margins and volumes must not be negative, got {self}.")


def cut_tissue_slabs(
    cases: Sequence[dict[str, Any]],
    settings: SlabSettings | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Slabs of all cases, for `phantom.RandSynthesizeCTd`; size * size * slices bytes each, 250 kB as set.

    Args:
        cases: From `list_training_cases`, with `label` and `tissues` paths. Split them by patient first.
        settings: What to cut.
        workers: Threads that read and cut; None for one per core (2 to 8).
        progress: Show a progress bar.

    Returns:
        One dictionary per slab: `tissues` uint8 (1, X, Y, slices) in R-A-S axes, air beyond the volume in the plane and
        the last slice repeated beyond it along z; `patient`; `case`, the slab's own name, because the tumor that is put
        into it makes it another patient wherever patients vote; `meta` with this name under `filename_or_obj`.

    Raises:
        TrainingDataError: If no case has a kidney, or tissues and segmentation of a case contradict each other.
    """
    settings = settings or SlabSettings()
    return cut_every_case(partial(_slabs_of_case, settings), cases, "tissue slabs", workers, progress)


def _slabs_of_case(settings: SlabSettings, case: dict[str, Any]) -> list[dict[str, Any]]:
    tissues, label, _, affine = read_tissue_map(case)
    voxel_mm = spacing_mm(affine)
    rng = np.random.default_rng((settings.seed, *case["case"].encode()))
    find = _kidney_places if settings.center == "kidney" else _slice_places
    slabs = []
    for x, y, z in find(tissues, label, voxel_mm, settings, rng):
        name = f"{case['case']}_x{round(x):03d}_y{round(y):03d}_z{round(z):03d}"
        slabs.append({
            "tissues": _slab(tissues, (x, y, z), voxel_mm, settings),
            "patient": str(case.get("patient") or case["case"]),
            "case": name,
            "meta": {"filename_or_obj": name},
        })  # fmt: skip
    return slabs


def _slab(tissues: torch.Tensor, place: Place, voxel_mm: Sequence[float], settings: SlabSettings) -> torch.Tensor:
    """The (1, X, Y, slices) ids around a place in voxels."""
    steps = torch.arange(settings.slices, dtype=torch.float64) - (settings.slices - 1) / 2
    centers = torch.tensor([place], dtype=torch.float64).repeat(settings.slices, 1)
    centers[:, 2] += steps * (settings.spacing_mm[2] / voxel_mm[2])
    crops = nearest_axial_crops(tissues[None], centers, voxel_mm, settings.size, settings.spacing_mm[0])
    return axial_to_volume(crops).contiguous()


def _kidney_places(
    tissues: torch.Tensor,
    label: torch.Tensor,
    voxel_mm: tuple[float, float, float],
    settings: SlabSettings,
    rng: np.random.Generator,
) -> list[Place]:
    """Places along the middle of each kidney's box, and of some boxes without a kidney."""
    kidneys = find_components(label.numpy(), min_voxels=settings.smallest_kidney_ml * 1000 / float(np.prod(voxel_mm)))
    if kidneys is None:
        return []
    body = torch.where(tissues > 0, 0.0, -1000.0)
    shape = (label.shape[0], label.shape[1], label.shape[2])
    places: list[Place] = []
    for kidney in kidneys.boxes:
        empty = box_without_kidney(body, label, kidney, rng) if rng.random() < settings.negative_share else None
        for box in (kidney, empty):
            if box is None:
                continue
            x, y = (box.xmin + box.xmax - 1) / 2, (box.ymin + box.ymax - 1) / 2
            reach = box.expanded((0, 0, round(settings.margin_mm / voxel_mm[2])), shape) if box is kidney else box
            count = max(1, round(reach.shape[2] * voxel_mm[2] / settings.spacing_mm[2]))
            middles = reach.zmin - 0.5 + (np.arange(count) + 0.5) * reach.shape[2] / count
            places += [(x, y, float(z)) for z in _spread(middles, settings.slabs)]
    return places


def _slice_places(
    tissues: torch.Tensor,
    label: torch.Tensor,
    voxel_mm: tuple[float, float, float],
    settings: SlabSettings,
    rng: np.random.Generator,
) -> list[Place]:
    """Places on the body, or on the kidneys' crops, of slices with a kidney and some without."""
    if not label.any():
        return []
    depth, pixel_mm = tissues.shape[2], settings.spacing_mm[0]
    in_body = (tissues > 0).sum(dim=2, dtype=torch.float64)
    weights = (in_body.sum(dim=1).numpy(), in_body.sum(dim=0).numpy())
    middle = [float(np.average(np.arange(len(line)), weights=line)) for line in weights]
    count = max(1, round(depth * voxel_mm[2] / settings.spacing_mm[2]))
    heights = (np.arange(count) + 0.5) * depth / count - 0.5
    reach = max(max(at, n - 1 - at) * mm for at, n, mm in zip(middle, tissues.shape[:2], voxel_mm[:2], strict=True))
    size = max(2 * int(np.ceil(reach / pixel_mm)) + 2, settings.window)
    centers = torch.tensor([(*middle, z) for z in heights], dtype=torch.float64)
    kidney = nearest_axial_crops((label > 0)[None], centers, voxel_mm, size, pixel_mm)[:, 0].numpy()
    sides = split_kidneys(kidney, (depth * voxel_mm[2] / count, pixel_mm, pixel_mm))
    seen = kidney.any(axis=(1, 2))
    chosen = _spread(np.flatnonzero(seen), settings.slabs)
    if not len(chosen):
        return []
    empty = _spread(np.flatnonzero(~seen), round(len(chosen) * settings.negative_share))
    if settings.center == "body":
        return [(middle[0], middle[1], float(heights[k])) for k in sorted([*chosen, *empty])]
    windows = {k: kidney_windows(sides[k], settings.window) for k in chosen}
    corners = [(k, *corner) for k in chosen for corner in windows[k]]
    # An empty slice takes the places of some slice with a kidney, which is where stage 1 errs.
    corners += [(k, *windows[chosen[n % len(chosen)]][0]) for n, k in enumerate(empty)]
    # Columns run against x, rows against y.
    shift = settings.window / 2 - size / 2
    return [
        (
            middle[0] - (column + shift) * pixel_mm / voxel_mm[0],
            middle[1] - (row + shift) * pixel_mm / voxel_mm[1],
            float(heights[k]),
        )
        for k, row, column in corners
    ]


def _spread(values: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the values, evenly spread."""
    if count >= len(values):
        return values
    return values[np.floor((np.arange(count) + 0.5) * len(values) / count).astype(int)]
