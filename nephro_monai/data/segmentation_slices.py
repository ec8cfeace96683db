"""Cuts training cases into axial slices, or crops of them, with label maps, for 2-D segmentation (Dahiya 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from nephro_monai.constants import HU_RANGE, TUMOR
from nephro_monai.data.case_volumes import cut_every_case, read_volumes
from nephro_monai.geometry.axial_slices import kidney_windows, label_slices, scan_slices
from nephro_monai.geometry.kidney_split import split_kidneys
from nephro_monai.structures import SliceGrid

__all__ = ["SliceCutSettings", "cut_segmentation_slices", "slices_of_case"]


@dataclass(frozen=True)
class SliceCutSettings:
    """Which slices are cut, and how.

    Attributes:
        grid: Slice distance, pixel size and size of whole slices.
        crop_size: Rows and columns of crops around the kidneys (stage 2); None keeps whole slices (stage 1).
        context: Pixels kept around each crop on every side, for random rotations and shifts; beyond the slice is air.
        merge_classes: Kidney and tumor become one class, 1 (stage 1).
        slices_per_case: Slices with a kidney per case, evenly spread; None for all.
        tumor_share: Share of these that hold tumor, where there are as many.
        negative_share: Share of slices without a kidney among all slices. As crops, these are cut where the kidneys lie
            in other slices, which is where stage 1 errs.

    Raises:
        ValueError: If a share is out of range, `slices_per_case` is below 1, or a crop does not fit into the grid.
    """

    grid: SliceGrid = field(default_factory=lambda: SliceGrid(4.0, 1.6, 256, 4.0))
    crop_size: int | None = None
    context: int = 0
    merge_classes: bool = False
    slices_per_case: int | None = 24
    tumor_share: float = 0.5
    negative_share: float = 0.25

    def __post_init__(self) -> None:
        """Refuses settings that are out of range.

        Raises:
            ValueError: If one is.
        """
        if not (0 <= self.tumor_share <= 1 and 0 <= self.negative_share < 1):
            raise ValueError(
                f"tumor_share lies in 0..1 and negative_share in 0..1 (1 excluded), got {self.tumor_share} and "
                f"{self.negative_share}."
            )
        if self.slices_per_case is not None and self.slices_per_case < 1:
            raise ValueError(f"slices_per_case must be at least 1 (or None for all), got {self.slices_per_case}.")
        if (self.crop_size is not None and not 0 < self.crop_size <= self.grid.input_size) or self.context < 0:
            raise ValueError(
                f"crop_size must be within 1..{self.grid.input_size} and context not negative, got {self.crop_size} "
                f"and {self.context}."
            )


def cut_segmentation_slices(
    cases: Sequence[dict[str, Any]],
    settings: SliceCutSettings | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Slices of all cases, in memory: 0.2 MB per slice of 256 x 256.

    Args:
        cases: From `list_training_cases`, with `image` and `label` paths. Split them by patient first (`split_cases`):
            all slices of a case come out together.
        settings: What to cut.
        workers: Threads that read and resample; None for one per core (2 to 8).
        progress: Show a progress bar.

    Returns:
        One dictionary per slice or crop: `image` int16 HU (1, H, W), `label` uint8 (1, H, W) with 0/1/2 (0/1 merged),
        `case`.

    Raises:
        TrainingDataError: If no case has a kidney.
    """
    cut = partial(slices_of_case, settings or SliceCutSettings())
    return cut_every_case(cut, cases, "slices with kidneys", workers, progress)


def slices_of_case(settings: SliceCutSettings, case: dict[str, Any]) -> list[dict[str, Any]]:
    """The slices or crops of one case (see `cut_segmentation_slices`); none if it has no kidney."""
    volumes, affine = read_volumes(case, ("image", "label"))
    image, label = volumes["image"][0], volumes["label"][0]
    voxel_mm = tuple(float(s) for s in np.linalg.norm(affine[:3, :3], axis=0))
    hu, frame = scan_slices(image, voxel_mm, settings.grid)
    labels = label_slices(label, voxel_mm, settings.grid, frame)
    if not labels.any():
        return []
    slice_mm = image.shape[2] * voxel_mm[2] / len(hu)
    pixel_mm = settings.grid.pixel_spacing_mm
    sides = split_kidneys((labels > 0).numpy(), (slice_mm, pixel_mm, pixel_mm))
    kidney, empty = _chosen(labels, settings)
    if settings.merge_classes:
        labels = labels.clamp(max=1)
    hu = hu.clamp(*HU_RANGE).round().to(torch.int16)
    if settings.crop_size is None:
        places = [(k, 0, 0) for k in sorted([*kidney, *empty])]
    else:
        windows = {k: kidney_windows(sides[k], settings.crop_size) for k in kidney}
        places = [(k, *corner) for k in kidney for corner in windows[k]]
        # An empty slice takes the places of some slice with a kidney.
        places += [(k, *windows[kidney[n % len(kidney)]][0]) for n, k in enumerate(empty)]
    return [_cut(hu[k], labels[k], (r, c), settings) | {"case": case["case"]} for k, r, c in places]


def _chosen(labels: torch.Tensor, settings: SliceCutSettings) -> tuple[list[int], list[int]]:
    """Slices with and without a kidney that are cut, in order."""
    tumor = (labels == TUMOR).any(dim=2).any(dim=1).numpy()
    kidney = (labels > 0).any(dim=2).any(dim=1).numpy()
    wanted = settings.slices_per_case or len(labels)
    with_tumor = _spread(np.flatnonzero(tumor), round(wanted * settings.tumor_share))
    left_over = np.setdiff1d(np.flatnonzero(kidney), with_tumor)
    chosen = sorted([*with_tumor, *_spread(left_over, wanted - len(with_tumor))])
    share = settings.negative_share
    empty = _spread(np.flatnonzero(~kidney), round(len(chosen) * share / (1 - share)))
    return [int(k) for k in chosen], [int(k) for k in empty]


def _spread(slices: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the slices, evenly spread."""
    if count >= len(slices):
        return slices
    return slices[np.linspace(0, len(slices) - 1, count).round().astype(int)]


def _cut(
    hu: torch.Tensor, labels: torch.Tensor, corner: tuple[int, int], settings: SliceCutSettings
) -> dict[str, torch.Tensor]:
    """A whole slice, or a crop at a corner with its context."""
    if settings.crop_size is not None:
        size = settings.crop_size + 2 * settings.context
        around = [settings.context] * 4
        rows, columns = (slice(first, first + size) for first in corner)
        hu = functional.pad(hu, around, value=int(HU_RANGE[0]))[rows, columns]
        labels = functional.pad(labels, around)[rows, columns]
    return {"image": hu[None].clone(), "label": labels[None].clone()}
