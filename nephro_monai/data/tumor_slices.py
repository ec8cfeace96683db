"""Axial slices through each tumor of the training cases, with the patient's malignancy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from nephro_monai.constants import HU_RANGE, TUMOR
from nephro_monai.data.axial_crops import cut_axial_crops, cut_every_case, read_volumes
from nephro_monai.errors import TrainingDataError

__all__ = ["TumorSliceSettings", "balanced_class_weights", "cut_tumor_slices"]


@dataclass(frozen=True)
class TumorSliceSettings:
    """How tumor slices are cut.

    Attributes:
        size: Rows and columns of a crop; larger than what the classifier sees, so that shifts, rotations and scalings
            find image beyond its rim.
        crop_spacing_mm: Pixel spacing, as in inference.
        most_per_tumor: Slices per tumor, spread evenly, so that large tumors do not outweigh small ones.
        smallest_area_mm2: Slices with less tumor are left out, except the largest slice of a tumor.
        smallest_tumor_ml: Smaller pieces of label are left out.
    """

    size: int = 184
    crop_spacing_mm: float = 0.8
    most_per_tumor: int = 12
    smallest_area_mm2: float = 25.0
    smallest_tumor_ml: float = 0.1


def cut_tumor_slices(
    cases: Sequence[dict[str, Any]], settings: TumorSliceSettings | None = None, workers: int = 2, progress: bool = True
) -> list[dict[str, Any]]:
    """Slices through the tumors of all cases; about 70 kB each.

    Args:
        cases: From `list_training_cases`, with `image`, `label` and `malignant`. Cases without a tumor give none.
        settings: How to cut.
        workers: Threads that read and cut.
        progress: Show a progress bar.

    Returns:
        One dictionary per slice: `hu` int16 (1, size, size), centered on the tumor's centroid in that slice; `target`
        0 benign, 1 malignant (the patient's); `case`; `area_mm2` of tumor.

    Raises:
        TrainingDataError: If no case has a tumor, or a case with one does not say whether it is malignant.
    """
    return cut_every_case(partial(_slices_of_case, settings or TumorSliceSettings()), cases, "tumor slices", workers, progress)


def balanced_class_weights(slices: Sequence[dict[str, Any]]) -> list[float]:
    """Loss weights that let both classes count alike: total / (2 * slices of the class), benign first.

    Raises:
        TrainingDataError: If one class has no slice.
    """
    counts = np.bincount([item["target"] for item in slices], minlength=2)
    if not counts.all():
        raise TrainingDataError(
            f"Training needs benign and malignant slices, got {counts[0]} and {counts[1]}; add cases of the other kind."
        )
    return [float(len(slices) / (2 * count)) for count in counts]


def _slices_of_case(settings: TumorSliceSettings, case: dict[str, Any]) -> list[dict[str, Any]]:
    volumes, spacing = read_volumes(case, ("image", "label"))
    centers, areas = _slice_centers(volumes["label"][0].numpy() == TUMOR, spacing, settings)
    if not centers:
        return []
    if not isinstance(case.get("malignant"), bool):
        raise TrainingDataError(
            f"{case['case']} has a tumor, but kits.json does not say whether it is malignant; add 'malignant' true or false."
        )
    crops = cut_axial_crops(
        volumes["image"], torch.tensor(centers), spacing, settings.size, settings.crop_spacing_mm, HU_RANGE[0]
    )
    target = int(case["malignant"])
    return [
        {"hu": crop.round().to(torch.int16), "target": target, "case": case["case"], "area_mm2": area}
        for crop, area in zip(crops, areas, strict=True)
    ]


def _slice_centers(
    tumor: np.ndarray, spacing_mm: Sequence[float], settings: TumorSliceSettings
) -> tuple[list[tuple[float, float, float]], list[float]]:
    """Centroids (x, y, z) in voxels and tumor areas of the chosen slices of every tumor."""
    pieces, count = ndimage.label(tumor)
    pixel_mm2 = spacing_mm[0] * spacing_mm[1]
    centers: list[tuple[float, float, float]] = []
    areas: list[float] = []
    for piece, box in enumerate(ndimage.find_objects(pieces), start=1):
        mask = pieces[box] == piece
        per_slice = mask.sum(axis=(0, 1)) * pixel_mm2
        if per_slice.sum() * spacing_mm[2] < settings.smallest_tumor_ml * 1000.0:
            continue
        wanted = np.flatnonzero(per_slice >= min(settings.smallest_area_mm2, per_slice.max()))
        spread = np.linspace(0, len(wanted) - 1, min(len(wanted), settings.most_per_tumor)).round().astype(int)
        for z in wanted[spread]:
            x, y = ndimage.center_of_mass(mask[:, :, z])
            centers.append((x + box[0].start, y + box[1].start, float(z + box[2].start)))
            areas.append(float(per_slice[z]))
    return centers, areas
