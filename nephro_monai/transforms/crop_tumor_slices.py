"""Axial slices through each tumor, as the classifier sees them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from nephro_monai.geometry.measurements import find_tumors
from nephro_monai.geometry.tumor_slices import (
    CropRegion,
    TumorCropSettings,
    TumorSlice,
    crop_tumor_slices,
    select_tumor_slices,
)
from nephro_monai.structures import Scan, SliceVote

__all__ = ["CropTumorSlicesd", "new_slice_vote"]


class CropTumorSlicesd(MapTransform):
    """Cuts square axial crops in HU through every tumor of a case (ColorNephroNet: 130 x 130 pixels).

    The centroid of the tumor in each slice is the center of its crop; rows run to posterior, columns to the patient's
    left; beyond the scan is -1024 HU. Which slices, and the regions of the other papers: `TumorCropSettings`.

    Reads `image`, `segmentation`, `tumors` (from `MeasureKidneysd`) and `scan`. Adds to the case dictionary:
        tumor_slices: float32 (S, 1, size, size) in HU; S is 0 without a tumor.
        slice_votes: list of `structures.SliceVote`, one per slice, not yet voted.
    """

    def __init__(
        self,
        keys: KeysCollection = "image",
        label_key: str = "segmentation",
        size: int = 130,
        spacing_mm: float = 0.8,
        max_slices_per_tumor: int = 32,
        min_area_mm2: float = 25.0,
        region: CropRegion = "crop",
    ) -> None:
        """Sets what is cut.

        Args:
            keys: Where the scan is (one key).
            label_key: Where the label map is.
            size: Rows and columns of a crop.
            spacing_mm: Pixel size of a crop.
            max_slices_per_tumor: More slices are thinned out evenly.
            min_area_mm2: Slices with less tumor are left out, except a tumor's largest one.
            region: "crop", "roi", "box" or "slice".

        Raises:
            ValueError: If more than one key is given or a setting is not allowed.
        """
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"CropTumorSlicesd cuts one scan per case, got the keys {self.keys}.")
        self.label_key = label_key
        self.settings = TumorCropSettings(
            size=size,
            spacing_mm=spacing_mm,
            max_slices_per_tumor=max_slices_per_tumor,
            min_area_mm2=min_area_mm2,
            region=region,
        )

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns the case with `tumor_slices` and `slice_votes`.

        Raises:
            ValueError: If the tumors do not belong to the label map.
        """
        case = dict(data)
        image, tumors = case[self.keys[0]], case["tumors"]
        affine = np.asarray(image.affine, dtype=np.float64)
        case["slice_votes"] = []
        case["tumor_slices"] = torch.zeros((0, 1, self.settings.size, self.settings.size), dtype=torch.float32)
        if not tumors:
            return case
        labels = np.asarray(case[self.label_key][0].cpu())
        smallest = min(tumor.volume_ml for tumor in tumors)
        components = find_tumors(labels, affine, smallest * (1 - 1e-6))
        boxes = components.boxes[: len(tumors)] if components else ()
        if components is None or boxes != tuple(tumor.box for tumor in tumors):
            raise ValueError("The tumors were not measured on this label map; run MeasureKidneysd on it first.")
        components = replace(components, boxes=boxes)
        slices = select_tumor_slices(components, affine, self.settings)
        plain = torch.as_tensor(image.as_tensor() if hasattr(image, "as_tensor") else image).cpu()
        case["tumor_slices"] = crop_tumor_slices(plain, components, slices, affine, self.settings)
        case["slice_votes"] = [new_slice_vote(item, affine, case["scan"], image.shape[3]) for item in slices]
        return case


def new_slice_vote(item: TumorSlice, affine: np.ndarray, scan: Scan, depth: int) -> SliceVote:
    """A slice's entry for the vote, without an answer yet.

    Args:
        item: The slice and its tumor.
        affine: (4, 4) voxel-to-mm matrix of the R-A-S volume.
        scan: For the file's own axial axis.
        depth: Slices of the volume.
    """
    axis_to_superior = nib.io_orientation(np.asarray(scan.native_affine))[:, 1][_axial_axis(scan)] > 0
    position = affine @ np.array([*item.center_xy, item.z, 1.0])
    return SliceVote(
        tumor=item.tumor,
        slice_index=item.z,
        native_slice_index=item.z if axis_to_superior else depth - 1 - item.z,
        position_mm=float(position[2]),
        area_mm2=item.area_mm2,
    )


def _axial_axis(scan: Scan) -> int:
    """The axis of the file that runs along the body."""
    return int(np.flatnonzero(nib.io_orientation(np.asarray(scan.native_affine))[:, 0] == 2)[0])
