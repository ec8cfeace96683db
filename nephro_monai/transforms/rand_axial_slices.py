"""Random axial slices of a slab."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, MultiSampleTrait, Randomizable

from nephro_monai.constants import TUMOR
from nephro_monai.geometry.axial import volume_to_axial

__all__ = ["RandAxialSlicesd"]


class RandAxialSlicesd(Randomizable, MapTransform, MultiSampleTrait):
    """Takes axial slices out of a slab, so that 2-D networks learn from what is synthesized in 3-D.

    Like MONAI's `RandSpatialCropSamplesd` it returns a list of dictionaries, which MONAI's `Compose` and `DataLoader`
    understand. In each of them the volumes (1, X, Y, Z) have become slices (1, Y, X), rows to posterior and columns to
    the patient's left; all other entries are those of the slab.

    Args:
        keys: Volumes of one shape, axes R-A-S.
        label_key: The label map among them.
        margin: Slices at both ends of the slab that are not taken.
        tumor_share: How often a slice with tumor is taken where the slab has slices with and without, 0..1; None for
            any slice.
        num_samples: Slices per slab; none returns before all of its kind were taken.
        allow_missing_keys: Whether dictionaries without one of the keys are allowed.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        keys: KeysCollection,
        label_key: str = "label",
        margin: int = 2,
        tumor_share: float | None = None,
        num_samples: int = 1,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if margin < 0 or num_samples < 1 or not 0 <= (tumor_share or 0) <= 1:
            raise ValueError(
                "RandAxialSlicesd needs margin >= 0, num_samples >= 1 and a tumor_share of None or 0..1, got "
                f"{margin}, {num_samples} and {tumor_share}."
            )
        self.label_key = label_key
        self.margin = margin
        self.tumor_share = tumor_share
        self.num_samples = num_samples

    def __call__(self, data: Mapping[Hashable, Any]) -> list[dict[Hashable, Any]]:
        """One dictionary per slice.

        Raises:
            ValueError: If the slab has no slice between its margins.
        """
        tumor = (torch.as_tensor(data[self.label_key])[0] == TUMOR).flatten(0, 1).any(dim=0).cpu().numpy()
        inner = np.arange(self.margin, len(tumor) - self.margin)
        if not len(inner):
            raise ValueError(
                f"A slab of {len(tumor)} slices has none between margins of {self.margin}; cut thicker slabs."
            )
        samples = []
        for z in self._drawn(inner, tumor[inner]):
            sample = dict(data)
            for key in self.key_iterator(sample):
                sample[key] = volume_to_axial(torch.as_tensor(data[key])[..., z : z + 1])[0].contiguous()
            samples.append(sample)
        return samples

    def _drawn(self, slices: np.ndarray, tumor: np.ndarray) -> list[int]:
        pools = [slices[tumor], slices[~tumor]]
        if self.tumor_share is None or not all(map(len, pools)):
            pools, share = [slices], 1.0
        else:
            share = self.tumor_share
        orders: list[list[int]] = [[] for _ in pools]
        drawn = []
        for _ in range(self.num_samples):
            kind = int(self.R.random() >= share)
            if not orders[kind]:
                orders[kind] = self.R.permutation(pools[kind]).tolist()
            drawn.append(orders[kind].pop())
        return drawn
