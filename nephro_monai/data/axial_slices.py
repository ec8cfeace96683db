"""Axial slices with one box per kidney, for training the detector (Kamkova 2019, sections 3.1 and 3.2)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from nephro_monai.constants import DETECTION_WINDOW_HU
from nephro_monai.data.detection_items import boxes_of_sides, collate_slices, detection_item
from nephro_monai.data.slice_augmentation import SliceAugmentation
from nephro_monai.errors import TrainingDataError
from nephro_monai.geometry.axial_frame import axial_planes, body_frame, crop_to_frame
from nephro_monai.geometry.kidney_split import split_kidneys
from nephro_monai.io import load_label_map, load_scan
from nephro_monai.structures import SliceGrid

__all__ = ["AxialSliceDataset", "boxes_of_sides", "collate_slices", "training_slices"]

_LOGGER = logging.getLogger(__name__)

_CACHED_HU = (-200.0, 600.0)
_SMALLEST_KIDNEY_MM2 = 80.0


@dataclass(frozen=True)
class _Slices:
    """Cached slices of one case: HU as int16 and kidney numbers as uint8, both (K, size, size)."""

    hu: torch.Tensor
    sides: torch.Tensor


def training_slices(
    image: torch.Tensor, label: torch.Tensor, spacing_mm: Sequence[float], grid: SliceGrid
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Slices of one case as the detector will see them in a scan.

    Args:
        image: (X, Y, Z) in HU, axes R-A-S.
        label: (X, Y, Z) label map on the same grid; everything above 0 is kidney with tumor.
        spacing_mm: Voxel size along X, Y and Z.
        grid: Slice distance, pixel size and input size.

    Returns:
        HU (K, size, size) float32; kidney numbers (K, size, size) uint8; and per slice 1 (kidney), 0 (none) or -1
        (only the end of a pole: neither).
    """
    planes, ranges = axial_planes(image, spacing_mm, grid)
    frame = body_frame(planes, ranges, image.shape, grid.input_size)
    share, _ = axial_planes(label > 0, spacing_mm, grid)
    plane_mm = grid.pixel_spacing_mm
    slice_mm = image.shape[2] * spacing_mm[2] / len(ranges)
    sides = torch.from_numpy(split_kidneys((share >= 0.5).numpy(), (slice_mm, plane_mm, plane_mm)))
    kidney_mm2 = (share >= 0.5).sum(dim=(1, 2)) * plane_mm**2
    kind = torch.where(kidney_mm2 >= _SMALLEST_KIDNEY_MM2, 1, -1)
    kind[share.amax(dim=(1, 2)) <= 0.05] = 0
    return crop_to_frame(planes, frame, fill=-1000.0), crop_to_frame(sides, frame), kind


class AxialSliceDataset(Dataset):
    """Slices of many cases, cached in memory, each with one box per kidney.

    The paper trains on slices with a kidney only; `negative_share` adds kidney-free slices, evenly spread over each
    case, because a detector that never saw one fires on spleen, liver and bowel.

    An item is the image (1, size, size) float32 in 0..1 and its target {"boxes": (N, 4) float32, "labels": (N,)
    int64}. Indices may come from `EpochSampler` (draw * length + slice): the draw decides the augmentation.

    Args:
        cases: Records with "image" and "label" paths, from `data.kits19.list_training_cases`.
        grid: Slice distance, pixel size and input size.
        window_hu: HU range that becomes 0..1.
        negative_share: Share of kidney-free slices, 0..1.
        augmentation: None leaves the slices as they are.
        seed: Of the augmentation.
        workers: Threads that read cases.

    Raises:
        ValueError: If `negative_share` is not in 0..1.
        TrainingDataError: If there are cases but no slice holds a kidney.
    """

    def __init__(
        self,
        cases: Sequence[Mapping[str, Any]],
        grid: SliceGrid | None = None,
        window_hu: tuple[float, float] = DETECTION_WINDOW_HU,
        negative_share: float = 0.3,
        augmentation: SliceAugmentation | None = None,
        seed: int = 0,
        workers: int = 2,
    ) -> None:
        if not 0 <= negative_share < 1:
            raise ValueError(f"negative_share lies in 0..1 (1 excluded), got {negative_share}.")
        self.grid = grid or SliceGrid()
        self.window_hu = (float(window_hu[0]), float(window_hu[1]))
        self.negative_share = negative_share
        self.augmentation = augmentation
        self.seed = seed
        with ThreadPoolExecutor(max(1, workers)) as pool:
            self._cases = list(pool.map(self._read, cases))
        self._index = [(c, k) for c, slices in enumerate(self._cases) for k in range(len(slices.hu))]
        if cases and not any(bool(slices.sides.any()) for slices in self._cases):
            raise TrainingDataError(
                f"None of the {len(cases)} cases has a slice with a kidney; give a KiTS19-layout folder with labels."
            )
        _LOGGER.info("%d slices of %d cases cached.", len(self), len(self._cases))

    def __len__(self) -> int:
        """Number of cached slices."""
        return len(self._index)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Image and target of one draw of a slice."""
        draw, position = divmod(int(index), len(self._index))
        case, number = self._index[position]
        hu, sides = self._cases[case].hu[number].float(), self._cases[case].sides[number]
        if self.augmentation is not None:
            hu, sides = self.augmentation(hu, sides, (self.seed, draw, position))
        return detection_item(hu, sides, self.window_hu)

    def _read(self, case: Mapping[str, Any]) -> _Slices:
        """Slices of one case with a kidney and its share of kidney-free ones."""
        image, label, spacing_mm = _load(case)
        hu, sides, kind = training_slices(image, label, spacing_mm, self.grid)
        positive, negative = (kind == 1).nonzero()[:, 0], (kind == 0).nonzero()[:, 0]
        wanted = round(len(positive) * self.negative_share / (1 - self.negative_share)) if len(positive) else 8
        if wanted < len(negative):
            spread = np.linspace(0, len(negative) - 1, wanted).round().astype(int)
            negative = negative[torch.from_numpy(spread)]
        keep = torch.cat((positive, negative)).sort().values
        return _Slices(hu[keep].clamp(*_CACHED_HU).round().to(torch.int16), sides[keep].clone())


def _load(case: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor, tuple[float, ...]]:
    """Image and label of a case as (X, Y, Z) tensors in R-A-S order, and the voxel size."""
    image, _ = load_scan(case["image"])
    label = load_label_map(case["label"])
    if image.shape != label.shape:
        raise TrainingDataError(
            f"{case['label']}: shape {tuple(label.shape[1:])}, but its image has {tuple(image.shape[1:])}; both need "
            "the same grid."
        )
    spacing_mm = tuple(float(s) for s in torch.linalg.norm(image.affine[:3, :3], dim=0))
    return image.as_tensor()[0], label.as_tensor()[0], spacing_mm
