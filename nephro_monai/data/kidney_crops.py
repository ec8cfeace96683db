"""Cuts training cases into kidney boxes at the working spacing, once, and keeps them in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from nephro_monai.constants import LABEL_NAMES
from nephro_monai.data.case_volumes import cut_every_case, read_volumes
from nephro_monai.geometry import find_components, resample_to_shape, resampled_shape
from nephro_monai.structures import Box

__all__ = [
    "CropSettings",
    "box_without_kidney",
    "cut_kidney_crops",
    "fill_window",
    "kidney_crops_of_case",
    "pad_crop",
    "some_indices",
]

_INDICES_PER_CLASS = 4000
_BODY_HU = -200.0
_BODY_SHARE = 0.7


@dataclass(frozen=True)
class CropSettings:
    """How kidney crops are cut.

    Attributes:
        spacing_mm: Working spacing along x, y, z of the R-A-S scan.
        margin_mm: Context kept around each kidney with its tumors. Wider than what the localizer leaves, so that
            random patches may be centered on the box's rim.
        minimum_shape: At the working spacing. Smaller boxes are grown in the scan, since a network that meets a kidney
            between borders of air learns the borders; where the scan ends, its last voxels are repeated, as
            `SegmentKidneyTumord` does.
        smallest_kidney_ml: Smaller separate pieces of label get no crop of their own.
        negative_share: Crops without a kidney per kidney crop, cut from the body at random; they stand for the
            localizer's false boxes.
        seed: Of the places of the crops without a kidney.
    """

    spacing_mm: tuple[float, float, float] = (2.0, 2.0, 3.0)
    margin_mm: float = 40.0
    minimum_shape: tuple[int, int, int] = (48, 48, 32)
    smallest_kidney_ml: float = 5.0
    negative_share: float = 0.25
    seed: int = 0


def cut_kidney_crops(
    cases: Sequence[dict[str, Any]],
    settings: CropSettings | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Crops of all cases, ready for random patch transforms.

    About 1.6 MB per crop, so that 300 cases fit into 2 GB.

    Args:
        cases: From `list_training_cases`, with `image` and `label` paths.
        settings: How to cut.
        workers: Threads that read and resample; None for one per core (2 to 8).
        progress: Show a progress bar.

    Returns:
        One dictionary per crop: `image` int16 HU (1, X, Y, Z), `label` uint8 (1, X, Y, Z) with 0/1/2,
        `label_cls_indices` (flat indices of up to 4000 voxels of each class, for `RandCropByLabelClassesd`), `case`.

    Raises:
        TrainingDataError: If no case has a kidney.
    """
    cut = partial(kidney_crops_of_case, settings or CropSettings())
    return cut_every_case(cut, cases, "kidney boxes", workers, progress)


def kidney_crops_of_case(settings: CropSettings, case: dict[str, Any]) -> list[dict[str, Any]]:
    """The crops of one case: one per kidney, and by chance some without (see `cut_kidney_crops`)."""
    volumes, affine = read_volumes(case, ("image", "label"))
    image, label = volumes["image"][0], volumes["label"][0].clamp(max=max(LABEL_NAMES))
    shape = (image.shape[0], image.shape[1], image.shape[2])
    spacing = tuple(float(s) for s in np.linalg.norm(affine[:3, :3], axis=0))
    smallest = settings.smallest_kidney_ml * 1000.0 / float(np.prod(spacing))
    kidneys = find_components(label.numpy(), min_voxels=smallest)
    if kidneys is None:
        return []
    margin = tuple(round(settings.margin_mm / s) for s in spacing)
    boxes = [box.expanded((margin[0], margin[1], margin[2]), shape) for box in kidneys.boxes]
    rng = np.random.default_rng((settings.seed, *case["case"].encode()))
    for like in kidneys.boxes:
        empty = box_without_kidney(image, label, like, rng) if rng.random() < settings.negative_share else None
        boxes += [empty] if empty is not None else []
    boxes = [fill_window(box, shape, spacing, settings) for box in boxes]
    return [_crop(image, label, box, spacing, settings) | {"case": case["case"]} for box in boxes]


def fill_window(box: Box, shape: Sequence[int], spacing_mm: Sequence[float], settings: CropSettings) -> Box:
    """A box grown to the crops' least extent, as far as the scan goes."""
    extents = zip(settings.minimum_shape, settings.spacing_mm, spacing_mm, strict=True)
    return box.at_least([math.ceil(n * working / native) for n, working, native in extents], shape)


def box_without_kidney(image: torch.Tensor, label: torch.Tensor, like: Box, rng: np.random.Generator) -> Box | None:
    """A box of a kidney's size somewhere in the body; None if 50 tries find only air or kidney."""
    highest = [whole - extent + 1 for extent, whole in zip(like.shape, image.shape, strict=True)]
    for _ in range(50):
        start = rng.integers(0, highest)
        box = Box(*(int(a) for a in start), *(int(a) + b for a, b in zip(start, like.shape, strict=True)))
        in_body = (image[box.slices] > _BODY_HU).float().mean() > _BODY_SHARE
        if in_body and not label[box.slices].any():
            return box
    return None


def _crop(
    image: torch.Tensor, label: torch.Tensor, box: Box, spacing_mm: Sequence[float], settings: CropSettings
) -> dict[str, Any]:
    target = resampled_shape(box.shape, spacing_mm, settings.spacing_mm)
    hu = resample_to_shape(image[box.slices][None, None], target)[0]
    labels = _most_common_label(label[box.slices], target)
    hu, labels = pad_crop(hu, settings.minimum_shape), pad_crop(labels, settings.minimum_shape)
    return {
        "image": hu.round().to(torch.int16),
        "label": labels,
        "label_cls_indices": [some_indices(labels, value) for value in LABEL_NAMES],
    }


def _most_common_label(label: torch.Tensor, target: Sequence[int]) -> torch.Tensor:
    """The class that fills most of a voxel: keeps small tumors where taking the nearest voxel may skip them."""
    values = [value for value in LABEL_NAMES if value]
    shares = [resample_to_shape((label == value).float()[None, None], target)[0] for value in values]
    most = 1 - torch.stack(shares).sum(0)  # background
    labels = torch.zeros((1, *target), dtype=torch.uint8)
    for value, share in zip(values, shares, strict=True):
        labels[share > most] = value
        most = torch.maximum(most, share)
    return labels


def pad_crop(volume: torch.Tensor, minimum_shape: Sequence[int]) -> torch.Tensor:
    """A (1, X, Y, Z) crop of at least a shape, its outermost voxels repeated evenly on both sides."""
    for axis, (n, wanted) in enumerate(zip(volume.shape[1:], minimum_shape, strict=True), start=1):
        if n < wanted:
            places = torch.arange(wanted) - (wanted - n) // 2
            volume = volume.index_select(axis, places.clamp(0, n - 1))
    return volume


def some_indices(labels: torch.Tensor, value: int) -> np.ndarray:
    """Flat indices of voxels of one class, evenly thinned out to some thousands."""
    indices = np.flatnonzero(labels.numpy() == value)
    return indices[:: max(1, len(indices) // _INDICES_PER_CLASS)].astype(np.int32)
