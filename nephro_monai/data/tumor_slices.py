"""Axial slices through each tumor of the training cases, with the patient's malignancy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from nephro_monai.data.case_volumes import cut_every_case, read_volumes
from nephro_monai.errors import TrainingDataError
from nephro_monai.geometry.tumor_slices import TumorCropSettings, tumor_slice_crops

__all__ = ["TRAINING_CROPS", "balanced_class_weights", "cut_tumor_slices"]


TRAINING_CROPS = TumorCropSettings(size=184, max_slices_per_tumor=8)
"""Larger than what the classifier sees, so that shifts, rotations and scalings find image beyond its rim; few slices
per tumor, so that large tumors do not outweigh small ones."""


def cut_tumor_slices(
    cases: Sequence[dict[str, Any]],
    settings: TumorCropSettings = TRAINING_CROPS,
    workers: int = 2,
    progress: bool = True,
    need_malignancy: bool = True,
) -> list[dict[str, Any]]:
    """Slices through the tumors of all cases; about 70 kB each.

    Args:
        cases: From `list_training_cases`, with `image`, `label` and `malignant`. Cases without a tumor give none.
        settings: How to cut.
        workers: Threads that read and cut.
        progress: Show a progress bar.
        need_malignancy: Refuse tumors of unknown malignancy; otherwise their `label` is -1.

    Returns:
        One dictionary per slice: `image` int16 HU (1, size, size), centered on the tumor's centroid in that slice;
        `label` 0 benign, 1 malignant (the patient's); `subtype` (histologic, "" if unknown); `case`; `area_mm2` of
        tumor; `meta` with the slice's name (case, tumor and position along z) under `filename_or_obj`, for MONAI's
        savers.

    Raises:
        TrainingDataError: If no case has a tumor, or a case with one does not say whether it is malignant.
    """
    return cut_every_case(partial(_slices_of_case, settings, need_malignancy), cases, "tumor slices", workers, progress)


def balanced_class_weights(slices: Sequence[dict[str, Any]]) -> list[float]:
    """Loss weights that let both classes count alike: total / (2 * slices of the class), benign first.

    Raises:
        TrainingDataError: If one class has no slice.
    """
    counts = np.bincount([item["label"] for item in slices], minlength=2)
    if not counts.all():
        raise TrainingDataError(
            f"Training needs benign and malignant slices, got {counts[0]} and {counts[1]}; add cases of the other kind."
        )
    return [float(len(slices) / (2 * count)) for count in counts]


def _slices_of_case(settings: TumorCropSettings, need_malignancy: bool, case: dict[str, Any]) -> list[dict[str, Any]]:
    volumes, affine = read_volumes(case, ("image", "label"))
    crops, slices = tumor_slice_crops(volumes["image"], volumes["label"], affine, settings)
    if not slices:
        return []
    malignant = case.get("malignant")
    if need_malignancy and not isinstance(malignant, bool):
        raise TrainingDataError(
            f"{case['case']} has a tumor, but kits.json does not say whether it is malignant; "
            "add 'malignant' true or false."
        )
    label = int(malignant) if isinstance(malignant, bool) else -1
    return [
        {
            "image": crop.round().to(torch.int16),
            "label": label,
            "case": case["case"],
            "subtype": case.get("subtype") or "",
            "area_mm2": item.area_mm2,
            "meta": {"filename_or_obj": f"{case['case']}_tumor{item.tumor}_z{item.z:03d}"},
        }
        for crop, item in zip(crops, slices, strict=True)
    ]
