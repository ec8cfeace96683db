"""Kidneys and tumors of a segmentation, measured."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform

from nephro_monai.geometry.components import foreground_box
from nephro_monai.geometry.measurements import body_midline_x, measure_kidneys, measure_tumors

__all__ = ["MeasureKidneysd"]


class MeasureKidneysd(MapTransform):
    """Lists the kidneys and tumors of a segmentation with side, box, volume, center and diameter.

    Volumes and centers come from SimpleITK's label statistics; sides are told by the body's midline in the image
    (`geometry.measurements.body_midline_x`), not by the middle of the picture.

    Adds to the case dictionary:
        kidney_findings: list of `structures.Kidney`, the right one first.
        tumors: list of `structures.Tumor`, the largest first (index 1).
    """

    def __init__(
        self,
        keys: KeysCollection = "segmentation",
        image_key: str = "image",
        kidneys_key: str = "kidney_findings",
        tumors_key: str = "tumors",
        min_kidney_ml: float = 5.0,
        min_tumor_ml: float = 0.1,
    ) -> None:
        """Sets keys and smallest sizes.

        Args:
            keys: Where the label map is (one key).
            image_key: Where the scan is, in HU, with its affine.
            kidneys_key: Where the kidneys go.
            tumors_key: Where the tumors go.
            min_kidney_ml: Smaller pieces of kidney are no kidney.
            min_tumor_ml: Smaller pieces of tumor are no tumor.

        Raises:
            ValueError: If more than one key is given or a size is negative.
        """
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"MeasureKidneysd measures one label map per case, got the keys {self.keys}.")
        if min_kidney_ml < 0 or min_tumor_ml < 0:
            raise ValueError(f"Smallest sizes must not be negative, got {min_kidney_ml} and {min_tumor_ml} ml.")
        self.image_key = image_key
        self.kidneys_key = kidneys_key
        self.tumors_key = tumors_key
        self.min_kidney_ml = min_kidney_ml
        self.min_tumor_ml = min_tumor_ml

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns the case with its kidneys and tumors; both lists may be empty.

        Raises:
            ValueError: If segmentation and image differ in shape.
        """
        case = dict(data)
        image, segmentation = case[self.image_key], case[self.keys[0]]
        if image.shape != segmentation.shape:
            raise ValueError(
                f"Image {tuple(image.shape)} and segmentation {tuple(segmentation.shape)} must have one shape."
            )
        affine = np.asarray(image.affine, dtype=np.float64)
        labels = np.asarray(segmentation[0].cpu())
        found = foreground_box(labels)
        case[self.kidneys_key], case[self.tumors_key] = [], []
        if found is not None:
            midline = body_midline_x(np.asarray(image[0].cpu()), affine, (found.zmin, found.zmax))
            case[self.kidneys_key] = measure_kidneys(labels, affine, midline, self.min_kidney_ml)
            case[self.tumors_key] = measure_tumors(labels, affine, midline, self.min_tumor_ml)
        return case
