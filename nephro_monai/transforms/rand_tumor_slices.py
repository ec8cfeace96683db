"""Random axial crops through the tumors of a volume whose label map is known."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, MultiSampleTrait, Randomizable

from nephro_monai.geometry.measurements import find_tumors
from nephro_monai.geometry.tumor_slices import TumorCropSettings, crop_tumor_slices, select_tumor_slices

__all__ = ["RandTumorSlicesd"]


class RandTumorSlicesd(Randomizable, MapTransform, MultiSampleTrait):
    """Cuts crops through the tumors of a synthesized slab, the same way as `data.cut_tumor_slices` cuts scans.

    Returns a list of dictionaries, as MONAI's `RandSpatialCropSamplesd` does. Reads the image, the label map and
    `malignant`. In each dictionary:
        image: float32 (1, size, size) in HU, centered on the tumor's centroid in its slice (under the image's key).
        label: 0 benign, 1 malignant (under the label map's key).
        area_mm2: Of tumor in the slice.
        largest: True for the one of the slab's crops with the largest area.

    Args:
        keys: Where the image (1, X, Y, Z) is, axes R-A-S; one key.
        label_key: Where the label map is.
        spacing_mm: Of the voxels along x, y, z.
        settings: How to cut; every slice of a tumor that is large enough may be drawn, and no tumor is too small.
        margin: Slices at both ends of the slab that are taken only where the others show no tumor.
        num_samples: Crops per slab; a slice returns only after all were taken.

    Raises:
        ValueError: If several keys are given or a number is out of range.
    """

    def __init__(
        self,
        keys: KeysCollection,
        spacing_mm: Sequence[float],
        settings: TumorCropSettings | None = None,
        label_key: str = "label",
        margin: int = 2,
        num_samples: int = 1,
    ) -> None:
        super().__init__(keys)
        if len(self.keys) != 1 or len(spacing_mm) != 3 or margin < 0 or num_samples < 1:
            raise ValueError(
                "RandTumorSlicesd needs one key, three spacings, margin >= 0 and num_samples >= 1, got "
                f"{list(self.keys)}, {list(spacing_mm)}, {margin} and {num_samples}."
            )
        self.affine = np.diag([*map(float, spacing_mm), 1.0])
        settings = settings or TumorCropSettings()
        self.settings = replace(settings, max_slices_per_tumor=sys.maxsize, min_tumor_ml=0.0)
        self.label_key = label_key
        self.margin = margin
        self.num_samples = num_samples

    def __call__(self, data: Mapping[Hashable, Any]) -> list[dict[Hashable, Any]]:
        """One dictionary per crop.

        Raises:
            ValueError: If there is no tumor, or it is not known whether it is malignant.
        """
        image, label = torch.as_tensor(data[self.keys[0]]), torch.as_tensor(data[self.label_key])
        depth, tumors = label.shape[3], None
        for margin in (self.margin, 0):
            inner = slice(margin, max(margin, depth - margin))
            tumors = find_tumors(label[0, :, :, inner].cpu().numpy(), self.affine, 0.0)
            if tumors is not None:
                break
        if tumors is None or not isinstance(data.get("malignant"), bool):
            raise ValueError(
                f"RandTumorSlicesd needs a tumor of known malignancy, got {data.get('malignant')!r} for "
                f"{data.get('case', 'a slab')}; set need_tumor in the settings of RandSynthesizeCTd."
            )
        slices = select_tumor_slices(tumors, self.affine, self.settings)
        rounds = -(-self.num_samples // len(slices))
        order = np.concatenate([self.R.permutation(len(slices)) for _ in range(rounds)])[: self.num_samples]
        chosen = [slices[k] for k in order]
        crops = crop_tumor_slices(image[..., inner], tumors, chosen, self.affine, self.settings)
        largest = int(np.argmax([item.area_mm2 for item in chosen]))
        return [
            {
                **data,
                self.keys[0]: crop,
                self.label_key: int(data["malignant"]),
                "area_mm2": item.area_mm2,
                "largest": k == largest,
            }
            for k, (crop, item) in enumerate(zip(crops, chosen, strict=True))
        ]
