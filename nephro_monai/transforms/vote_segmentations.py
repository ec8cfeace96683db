"""One label map from those of several folds."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from nephro_monai.constants import BACKGROUND, KIDNEY, TUMOR

__all__ = ["VoteSegmentationsd", "majority_label_map"]


class VoteSegmentationsd(MapTransform):
    """Lets the folds' outlines vote, voxel by voxel.

    Reads `fold_cases` (from `RunFoldsd`), each with a `segmentation`. Adds to the case dictionary:
        segmentation: uint8 MetaTensor (1, X, Y, Z) on their grid, by the rules of `majority_label_map`.
    """

    def __init__(self, keys: KeysCollection = "fold_cases", output_key: str = "segmentation") -> None:
        """Sets where to read and write.

        Args:
            keys: Where the folds' case dictionaries are (one key).
            output_key: Where each has its label map, and where the result goes.

        Raises:
            ValueError: If more than one key is given.
        """
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"VoteSegmentationsd reads one list of cases, got the keys {self.keys}.")
        self.output_key = output_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns the case with the common label map."""
        case = dict(data)
        maps = [fold[self.output_key] for fold in case[self.keys[0]]]
        case[self.output_key] = MetaTensor(majority_label_map(maps), affine=maps[0].affine)
        return case


def majority_label_map(label_maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """What at least half of the label maps say: kidney with tumor first, tumor within it.

    A voxel is kidney or tumor if at least half of the maps say one of both, and tumor if at least half say tumor. So
    both regions that KiTS19 scores are majorities, and tumor wins a tie over kidney and kidney over background, as
    where boxes overlap.

    Args:
        label_maps: uint8 of one shape, 0 background, 1 kidney, 2 tumor; at most 127.

    Returns:
        uint8 of that shape.

    Raises:
        ValueError: If there is none, or they differ in shape.
    """
    plain = [torch.as_tensor(labels).as_subclass(torch.Tensor).cpu() for labels in label_maps]
    if not plain or len({labels.shape for labels in plain}) > 1 or len(plain) > 127:
        raise ValueError(f"1 to 127 label maps of one shape are needed, got {[tuple(x.shape) for x in plain[:5]]}.")
    result = torch.full_like(plain[0], BACKGROUND, dtype=torch.uint8)
    for label in (KIDNEY, TUMOR):
        votes = torch.zeros_like(result)
        for labels in plain:
            votes += labels >= label
        result[2 * votes >= len(plain)] = label
    return result
