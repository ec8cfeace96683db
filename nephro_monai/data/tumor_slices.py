"""Axial slices through each tumor of the training cases, with the patient's malignancy."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch

from nephro_monai.data.case_volumes import cut_every_case, read_volumes
from nephro_monai.errors import TrainingDataError
from nephro_monai.geometry.components import Components
from nephro_monai.geometry.measurements import find_tumors
from nephro_monai.geometry.tumor_slices import TumorCropSettings, TumorSlice, crop_tumor_slices, select_tumor_slices

__all__ = ["TRAINING_CROPS", "SliceChoice", "balanced_class_weights", "cut_tumor_slices"]

SliceChoice = Literal["all", "largest"]
"""ColorNephroNet's two ways to train: all slices through a patient's tumors, or the one with the largest tumor area."""

TRAINING_CROPS = TumorCropSettings(size=184, max_slices_per_tumor=8)
"""Larger than what the classifier sees, so that shifts, rotations and scalings find image beyond its rim; few slices
per tumor, so that large tumors do not outweigh small ones."""


def cut_tumor_slices(
    cases: Sequence[dict[str, Any]],
    settings: TumorCropSettings = TRAINING_CROPS,
    workers: int | None = None,
    progress: bool = True,
    need_malignancy: bool = True,
    choice: SliceChoice = "all",
) -> list[dict[str, Any]]:
    """Slices through the tumors of all cases; about 70 kB each.

    Args:
        cases: From `list_training_cases`, with `image`, `label` and `malignant`. Cases without a tumor give none.
        settings: How to cut.
        workers: Threads that read and cut; None for one per core (2 to 8).
        progress: Show a progress bar.
        need_malignancy: Refuse tumors of unknown malignancy; otherwise their `label` is -1.
        choice: "all" slices that the settings choose and the patient's largest one, or only the "largest".

    Returns:
        One dictionary per slice: `image` int16 HU (1, size, size), centered on the tumor's centroid in that slice;
        `label` 0 benign, 1 malignant (the patient's); `subtype` (histologic, "" if unknown); `case`; `area_mm2` of
        tumor; `largest`, true for the one slice of the patient with the largest tumor area; `meta` with the slice's
        name (case, tumor and position along z) under `filename_or_obj`, for MONAI's savers.

    Raises:
        TrainingDataError: If no case has a tumor, or a case with one does not say whether it is malignant.
        ValueError: If the choice is unknown.
    """
    if choice not in get_args(SliceChoice):
        raise ValueError(f"choice is one of {', '.join(get_args(SliceChoice))}, got {choice!r}.")
    cut = partial(_slices_of_case, settings, need_malignancy, choice)
    return cut_every_case(cut, cases, "tumor slices", workers, progress)


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


def _slices_of_case(
    settings: TumorCropSettings, need_malignancy: bool, choice: SliceChoice, case: dict[str, Any]
) -> list[dict[str, Any]]:
    volumes, affine = read_volumes(case, ("image", "label"))
    tumors = find_tumors(volumes["label"][0].numpy(), affine, settings.min_tumor_ml)
    if tumors is None:
        return []
    slices, largest = _chosen_slices(tumors, affine, settings, choice)
    crops = crop_tumor_slices(volumes["image"], tumors, slices, affine, settings)
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
            "largest": item == largest,
            "meta": {"filename_or_obj": f"{case['case']}_tumor{item.tumor}_z{item.z:03d}"},
        }
        for crop, item in zip(crops, slices, strict=True)
    ]


def _chosen_slices(
    tumors: Components, affine: np.ndarray, settings: TumorCropSettings, choice: SliceChoice
) -> tuple[list[TumorSlice], TumorSlice]:
    """The slices to cut, and the largest of them, which is the patient's largest."""
    every = select_tumor_slices(tumors, affine, replace(settings, max_slices_per_tumor=sys.maxsize))
    largest = max(every, key=lambda item: item.area_mm2)
    if choice == "largest":
        return [largest], largest
    slices = select_tumor_slices(tumors, affine, settings)
    best = max(slices, key=lambda item: item.area_mm2)
    if best.area_mm2 == largest.area_mm2:
        return slices, best
    return sorted([*slices, largest], key=lambda item: (item.tumor, item.z)), largest
