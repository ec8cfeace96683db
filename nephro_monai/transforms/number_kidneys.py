"""Which kidney each voxel of a label map belongs to."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from nephro_monai.geometry.axial import axial_to_volume, volume_to_axial
from nephro_monai.geometry.kidney_split import split_kidneys

__all__ = ["NumberKidneysd"]

_SMALLEST_POLE_ML = 0.1


class NumberKidneysd(MapTransform):
    """Numbers the kidneys of a label map, each with its tumors, as the detector's boxes need them.

    Adds to the dictionary:
        sides: uint8 of the label map's shape, 0 background, 1 the patient's right kidney, 2 the left one.

    Args:
        keys: Where the label map (1, X, Y, Z) of a body or a slab of one is, axes R-A-S; one key. All above 0 is kidney
            with tumor, the pole of one too.
        spacing_mm: Of its voxels along x, y, z.
        output_key: Where the numbers go.

    Raises:
        ValueError: If several keys or other than three spacings are given.
    """

    def __init__(self, keys: KeysCollection, spacing_mm: Sequence[float], output_key: str = "sides") -> None:
        super().__init__(keys)
        if len(self.keys) != 1 or len(spacing_mm) != 3:
            raise ValueError(
                f"NumberKidneysd needs one key and three spacings, got {list(self.keys)} and {list(spacing_mm)}."
            )
        self.spacing_mm = tuple(float(s) for s in spacing_mm)
        self.output_key = output_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The dictionary with the kidneys' numbers."""
        item = dict(data)
        slices = volume_to_axial(torch.as_tensor(item[self.keys[0]]) > 0)[:, 0]
        x_mm, y_mm, z_mm = self.spacing_mm
        sides = torch.from_numpy(split_kidneys(slices.cpu().numpy(), (z_mm, y_mm, x_mm), _SMALLEST_POLE_ML))
        item[self.output_key] = axial_to_volume(sides[:, None])
        return item
