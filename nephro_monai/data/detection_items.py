"""From a slice and its kidney numbers to what the detector trains on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.transforms import Randomizable, Transform

from nephro_monai.constants import DETECTION_WINDOW_HU
from nephro_monai.data.slice_augmentation import SliceAugmentation
from nephro_monai.geometry.intensity import window_to_unit

__all__ = ["RandDetectionItem", "boxes_of_sides", "collate_slices", "detection_item"]

_SMALLEST_BOX_PIXELS = 3

Item = tuple[torch.Tensor, dict[str, torch.Tensor]]


def boxes_of_sides(sides: torch.Tensor) -> torch.Tensor:
    """One box per kidney number in a slice.

    Args:
        sides: (H, W) integers, 0 background, 1 and 2 the kidneys with their tumors.

    Returns:
        (N, 4) float32 x1, y1, x2, y2 in pixels (the outer edges), N from 0 to 2; specks under 3 pixels are left out.
    """
    boxes = []
    for number in (1, 2):
        rows, columns = (sides == number).nonzero(as_tuple=True)
        if len(rows):
            box = [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]
            if min(box[2] - box[0], box[3] - box[1]) >= _SMALLEST_BOX_PIXELS:
                boxes.append(box)
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)


def detection_item(hu: torch.Tensor, sides: torch.Tensor, window_hu: Sequence[float]) -> Item:
    """Image and target of a slice.

    Args:
        hu: (H, W) float HU.
        sides: (H, W) kidney numbers.
        window_hu: HU range that becomes 0..1.

    Returns:
        The image (1, H, W) and {"boxes": (N, 4) float32, "labels": (N,) int64, all 1}.
    """
    boxes = boxes_of_sides(sides)
    target = {"boxes": boxes, "labels": torch.ones(len(boxes), dtype=torch.int64)}
    return window_to_unit(hu, (float(window_hu[0]), float(window_hu[1])), 0.0, 1.0)[None], target


class RandDetectionItem(Randomizable, Transform):
    """`detection_item` of a dictionary with `image` and `sides`, (1, H, W) each, varied first.

    Args:
        window_hu: HU range that becomes 0..1.
        augmentation: None leaves the slices as they are.
    """

    def __init__(
        self, window_hu: Sequence[float] = DETECTION_WINDOW_HU, augmentation: SliceAugmentation | None = None
    ) -> None:
        self.window_hu = window_hu
        self.augmentation = augmentation

    def __call__(self, data: Mapping[str, Any]) -> Item:
        """Image and target."""
        hu, sides = data["image"][0], data["sides"][0]
        if self.augmentation is not None:
            hu, sides = self.augmentation(hu, sides, int(self.R.randint(2**31 - 1)))
        return detection_item(hu, sides, self.window_hu)


def collate_slices(items: Sequence[Item | list[Item]]) -> tuple[torch.Tensor, list[dict[str, torch.Tensor]]]:
    """Batch of images (B, 1, H, W) and the list of their targets; lists of items (a slab's) are joined."""
    flat = [one for item in items for one in (item if isinstance(item, list) else [item])]
    return torch.stack([image for image, _ in flat]), [target for _, target in flat]
