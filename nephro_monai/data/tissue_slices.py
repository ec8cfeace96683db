"""Axial crops with a tissue id per pixel, from which the colorizer learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from nephro_monai.constants import KIDNEY, TUMOR
from nephro_monai.data.case_volumes import cut_every_case, read_volumes
from nephro_monai.geometry.measurements import spacing_mm
from nephro_monai.geometry.tumor_slices import nearest_axial_crops, sample_axial_crops

__all__ = ["TissueSliceSettings", "cut_tissue_slices", "tissue_fractions"]


@dataclass(frozen=True)
class TissueSliceSettings:
    """How tissue slices are cut.

    Attributes:
        size: Rows and columns of a crop.
        crop_spacing_mm: Pixel spacing, as in inference.
        on_tumor: Crops per case centered near a tumor voxel (on a kidney voxel where the case has no tumor).
        on_kidney: Crops per case centered near a kidney voxel.
        in_body: Crops per case centered anywhere in the body.
        jitter_mm: Largest shift of the center along x and y.
        seed: Of the places.
    """

    size: int = 160
    crop_spacing_mm: float = 0.8
    on_tumor: int = 10
    on_kidney: int = 7
    in_body: int = 5
    jitter_mm: float = 25.0
    seed: int = 0


def cut_tissue_slices(
    cases: Sequence[dict[str, Any]],
    settings: TissueSliceSettings | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Crops of all cases; about 80 kB each.

    Args:
        cases: From `list_training_cases`, with `image`, `label` and `tissues` paths.
        settings: How to cut.
        workers: Threads that read and cut; None for one per core (2 to 8).
        progress: Show a progress bar.

    Returns:
        One dictionary per crop: `image` int16 HU and `tissues` uint8, (1, size, size) each, and `case`.

    Raises:
        TrainingDataError: If a case's volumes do not fit together.
    """
    return cut_every_case(
        partial(_slices_of_case, settings or TissueSliceSettings()), cases, "tissue slices", workers, progress
    )


def tissue_fractions(slices: Sequence[dict[str, Any]]) -> list[float]:
    """Share of all pixels per tissue id, 256 values that sum to 1."""
    counts = np.zeros(256)
    for item in slices:
        counts += np.bincount(item["tissues"].numpy().ravel(), minlength=256)
    return [float(share) for share in counts / counts.sum()]


def _slices_of_case(settings: TissueSliceSettings, case: dict[str, Any]) -> list[dict[str, Any]]:
    volumes, affine = read_volumes(case, ("image", "label", "tissues"))
    voxel_mm = spacing_mm(affine)
    rng = np.random.default_rng((settings.seed, *case["case"].encode()))
    label, image = volumes["label"][0].numpy(), volumes["image"][0].numpy()
    kidney = label == KIDNEY
    tumor = label == TUMOR
    groups = [
        (tumor if tumor.any() else kidney, settings.on_tumor),
        (kidney, settings.on_kidney),
        (image > -200.0, settings.in_body),
    ]
    centers = torch.from_numpy(np.concatenate([_centers(mask, count, rng) for mask, count in groups]))
    shift = rng.uniform(-settings.jitter_mm, settings.jitter_mm, (len(centers), 2)) / np.asarray(voxel_mm[:2])
    centers[:, :2] += torch.from_numpy(shift)
    size, step = settings.size, settings.crop_spacing_mm
    hu = sample_axial_crops(volumes["image"], centers, voxel_mm, size, step).round().to(torch.int16)
    tissues = nearest_axial_crops(volumes["tissues"], centers, voxel_mm, size, step)
    return [{"image": a, "tissues": b, "case": case["case"]} for a, b in zip(hu, tissues, strict=True)]


def _centers(mask: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` voxels of a mask, spread evenly over the axial slices that it touches; none where it is empty."""
    slices = np.flatnonzero(mask.any(axis=(0, 1)))
    if not len(slices):
        return np.zeros((0, 3))
    centers = []
    for z in rng.choice(slices, count):
        x, y = np.nonzero(mask[:, :, z])
        pick = int(rng.integers(len(x)))
        centers.append((x[pick], y[pick], z))
    return np.asarray(centers, float).reshape(-1, 3)
