"""Axial slices of each kidney with its outlines and class, for multi-task training (Pan 2019, section III-A)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from nephro_monai.constants import LABEL_NAMES, TUMOR
from nephro_monai.data.case_volumes import cut_every_case, read_volumes
from nephro_monai.data.kidney_crops import box_without_kidney
from nephro_monai.errors import TrainingDataError
from nephro_monai.geometry.axial_stack import StackGrid, sample_axial_stack
from nephro_monai.geometry.components import find_components
from nephro_monai.geometry.measurements import spacing_mm
from nephro_monai.io import load_scan, load_second_phase
from nephro_monai.io.second_phase import MissingPhase
from nephro_monai.structures import Box
from nephro_monai.transforms.slice_class import slice_class

__all__ = ["KidneySliceSettings", "class_fold", "cut_kidney_slices"]


@dataclass(frozen=True)
class KidneySliceSettings:
    """How kidney slices are cut.

    Attributes:
        grid: Pixels and slices of the network's input.
        room: Rows and columns more than the input has, which rotations, shifts and scalings look into.
        margin_mm: Slices above and below the kidney's ends that are taken along.
        slices_per_kidney: More slices of a kidney with tumor are thinned out evenly, half of them with tumor where
            there are so many; kidneys without one, and places without a kidney, have half as many slices.
        speck_mm2: Slices with less tumor are normal.
        smallest_kidney_ml: Smaller separate pieces of label have no slices of their own.
        negative_share: Stacks without a kidney per kidney, for the localizer's false boxes.
        phases: 1, or 2 to stack the second contrast phase as a second channel.
        second_phase: Its name in the file's name.
        missing_phase: "error" or "repeat", see `io.second_phase.MissingPhase`.
        seed: Of the stacks without a kidney.
    """

    grid: StackGrid = field(default_factory=StackGrid)
    room: int = 40
    margin_mm: float = 9.0
    slices_per_kidney: int = 16
    speck_mm2: float = 50.0
    smallest_kidney_ml: float = 5.0
    negative_share: float = 0.2
    phases: int = 1
    second_phase: str = "excretory"
    missing_phase: MissingPhase = "error"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuses settings that cannot be cut.

        Raises:
            ValueError: If a number is out of range.
        """
        if self.phases not in (1, 2):
            raise ValueError(f"Slices hold 1 or 2 contrast phases, got {self.phases}.")
        if min(self.room, self.margin_mm, self.speck_mm2, self.negative_share) < 0 or self.slices_per_kidney < 1:
            raise ValueError(f"Room, margin, speck and shares must not be negative, slices at least 1, got {self}.")


def cut_kidney_slices(
    cases: Sequence[dict[str, Any]],
    settings: KidneySliceSettings | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Slices of all cases, ready for random transforms; about 110 kB each (180 kB with two phases).

    Args:
        cases: From `list_training_cases`, with `image`, `label` and `malignant`.
        settings: How to cut.
        workers: Threads that read and cut; None for one per core (2 to 8).
        progress: Show a progress bar.

    Returns:
        One dictionary per slice: `image` int16 HU (phases, side, side), `label` uint8 (1, side, side) with 0/1/2,
        `malignant` (the patient's, None if not known), `slice_class` (of the part that an unshifted input shows),
        `case`, and `meta` with the slice's name under `filename_or_obj`, for MONAI's savers.

    Raises:
        ScanError: If a second phase is missing or lies on another grid.
        TrainingDataError: If no case has a kidney.
    """
    cut = partial(_slices_of_case, settings or KidneySliceSettings())
    return cut_every_case(cut, cases, "kidney slices", workers, progress)


def class_fold(slices: Sequence[dict[str, Any]], fold: float = 16.0, key: str = "slice_class") -> list[dict[str, Any]]:
    """Repeats slices so that all classes are as frequent and there are `fold` times as many in all (Pan 2019, III-A).

    Each copy is augmented on its own, because random transforms are seeded by position. A class that is more frequent
    than its share is kept as it is. Slices of unknown class (-1) are as frequent as if each class were their own.

    Args:
        slices: From `cut_kidney_slices`.
        fold: How many times as many slices, 16 in the paper.
        key: Where the class is.

    Raises:
        TrainingDataError: If there is no slice.
        ValueError: If `fold` is below 1.
    """
    if fold < 1:
        raise ValueError(f"The augmentation multiplies the slices by at least 1, got {fold}.")
    if not slices:
        raise TrainingDataError("There is no slice to augment; check the training folder.")
    counts = Counter(int(item[key]) for item in slices)
    share = fold * len(slices) / len(counts)
    given: Counter[int] = Counter()
    folded = []
    for item in slices:
        index = int(item[key])
        # Copies are dealt out evenly over the slices of a class, also where they are no whole multiple.
        before = round(share * given[index] / counts[index])
        given[index] += 1
        folded += [item] * max(1, round(share * given[index] / counts[index]) - before)
    return folded


def _slices_of_case(settings: KidneySliceSettings, case: dict[str, Any]) -> list[dict[str, Any]]:
    volumes, affine = read_volumes(case, ("image", "label"))
    image = volumes["image"]
    if settings.phases == 2:
        first, _ = load_scan(case["image"])
        second = load_second_phase(case["image"], first, settings.second_phase, settings.missing_phase)
        image = torch.cat([image, second.as_tensor()])
    label = volumes["label"][0].clamp(max=max(LABEL_NAMES))
    voxel_mm = spacing_mm(affine)
    smallest = settings.smallest_kidney_ml * 1000.0 / float(np.prod(voxel_mm))
    kidneys = find_components(label.numpy(), min_voxels=smallest)
    if kidneys is None:
        return []
    shape = (label.shape[0], label.shape[1], label.shape[2])
    boxes = [box.expanded((0, 0, round(settings.margin_mm / voxel_mm[2])), shape) for box in kidneys.boxes]
    rng = np.random.default_rng((settings.seed, *case["case"].encode()))
    for like in kidneys.boxes:
        empty = box_without_kidney(image[0], label, like, rng) if rng.random() < settings.negative_share else None
        boxes += [empty] if empty is not None else []
    return [item for box in boxes for item in _slices_of_box(image, label, box, voxel_mm, (settings, case))]


def _slices_of_box(
    image: torch.Tensor,
    label: torch.Tensor,
    box: Box,
    voxel_mm: tuple[float, float, float],
    settings_and_case: tuple[KidneySliceSettings, dict[str, Any]],
) -> list[dict[str, Any]]:
    settings, case = settings_and_case
    size = settings.grid.size + settings.room
    grid = StackGrid(settings.grid.pixel_mm, settings.grid.slice_mm, size)
    # A box of one voxel in the plane: its slices are `size` wide however large the kidney is.
    x, y = (box.xmin + box.xmax) // 2, (box.ymin + box.ymax) // 2
    hu = sample_axial_stack(image, voxel_mm, Box(x, y, box.zmin, x + 1, y + 1, box.zmax), grid)
    reach = [math.ceil(size * grid.pixel_mm / 2 / mm) + 4 for mm in voxel_mm[:2]]
    near = Box(x, y, box.zmin, x + 1, y + 1, box.zmax).expanded((reach[0], reach[1], 0), tuple(label.shape))  # type: ignore[arg-type]
    classes = functional.one_hot(label[near.slices].long(), len(LABEL_NAMES)).permute(3, 0, 1, 2)
    flat = Box(x - near.xmin, y - near.ymin, 0, x - near.xmin + 1, y - near.ymin + 1, near.shape[2])
    shares = sample_axial_stack(classes, voxel_mm, flat, grid, outside=0.0).slices
    shares[:, 0] += 1e-3  # where all shares are 0, beyond the scan, background wins
    labels = shares.argmax(1, keepdim=True).to(torch.uint8)
    seen = labels[:, :, settings.room // 2 :, settings.room // 2 :][..., : settings.grid.size, : settings.grid.size]
    tumor_mm2 = (seen == TUMOR).sum((1, 2, 3)) * settings.grid.pixel_mm**2
    with_tumor = tumor_mm2.numpy() >= max(settings.speck_mm2, 1e-6)
    wanted = settings.slices_per_kidney if with_tumor.any() else (settings.slices_per_kidney + 1) // 2
    malignant = case.get("malignant") if isinstance(case.get("malignant"), bool) else None
    return [
        {
            "image": hu.slices[k].round().to(torch.int16),
            "label": labels[k],
            "malignant": malignant,
            "slice_class": slice_class(float(tumor_mm2[k]), malignant, settings.speck_mm2),
            "case": case["case"],
            "meta": {"filename_or_obj": f"{case['case']}_x{x:03d}_z{hu.native_z(k):03d}"},
        }
        for k in _chosen(with_tumor, wanted)
    ]


def _chosen(with_tumor: np.ndarray, wanted: int) -> list[int]:
    """Evenly spread slices, half of them with tumor and half without as far as there are so many."""
    groups = [np.flatnonzero(with_tumor), np.flatnonzero(~with_tumor)]
    first = min(len(groups[0]), max(wanted - len(groups[1]), (wanted + 1) // 2))
    numbers = (first, min(len(groups[1]), wanted - first))
    spread = [
        group[np.floor((np.arange(n) + 0.5) * len(group) / max(n, 1)).astype(int)]
        for group, n in zip(groups, numbers, strict=True)
    ]
    return sorted(int(k) for k in np.concatenate(spread))
