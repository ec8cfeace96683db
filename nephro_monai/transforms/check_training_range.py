"""Warns where a scan lies outside of what the networks were trained on, or seems to be without contrast."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from nephro_monai.constants import KIDNEY
from nephro_monai.geometry.scan_statistics import measure_scan

__all__ = ["CheckTrainingRanged", "measure_kidney_hu"]

_FEWEST_KIDNEY_VOXELS = 200
_TRAINED_ON = "the networks were trained, with a margin, on {low:.3g} to {high:.3g}"
_USUAL = "in a CT of the abdomen {high:.0%} at most: this is perhaps another part, on which no network was trained."
_SENTENCES = {
    "slice_thickness_mm": f"Axial slices lie {{value:.3g}} mm apart; {_TRAINED_ON} mm.",
    "pixel_mm": f"Pixels of the axial slices measure {{value:.3g}} mm; {_TRAINED_ON} mm.",
    "field_of_view_mm": f"The axial slices are {{value:.0f}} mm wide; {_TRAINED_ON} mm.",
    "length_mm": f"The scan covers {{value:.0f}} mm along the body; {_TRAINED_ON} mm.",
    "darkest_hu": (
        "The darkest hundredth of the voxels lies at {value:.0f} HU, where a CT of the abdomen has air or fat "
        "({low:.0f} to {high:.0f} HU): the values may not be HU, or may be shifted, or this is no CT."
    ),
    "soft_tissue_hu": (f"Soft tissue lies at {{value:.0f}} HU; {_TRAINED_ON} HU: the values may be shifted or scaled."),
    "gas_share": f"Lungs or gas fill {{value:.0%}} of the body, {_USUAL}",
    "bone_share": f"Bone, or what is as dense, fills {{value:.0%}} of the body, {_USUAL}",
    "cut_off_share": (
        "The body is cut off along {value:.0%} of the edge of the axial slices; in whole scans of the training along "
        "{high:.0%} at most."
    ),
    "parts_share": (
        "In {value:.0%} of the slices arms or legs lie beside the trunk, as in no training scan that was measured; "
        "their streaks may be taken for tissue."
    ),
    "metal_ml": (
        "The scan holds {value:.2g} ml of metal, or of what is as dense; its streaks hide tissue and may be taken for "
        "some."
    ),
}
_NO_CONTRAST = (
    "The scan seems to be without contrast agent (what was outlined as kidney has {value:.0f} HU); without it tumors "
    "are hard to see, for the networks too."
)
_NO_SOFT_TISSUE = (
    "Hardly any voxel has the HU of soft tissue: the values may not be HU, or this is no CT of the abdomen."
)


def measure_kidney_hu(image: torch.Tensor, segmentation: torch.Tensor) -> float:
    """Median HU of what was outlined as kidney, without its tumors; not a number where that is next to nothing.

    Args:
        image: (1, X, Y, Z) HU.
        segmentation: (1, X, Y, Z) label map.
    """
    kidney = torch.as_tensor(image)[torch.as_tensor(segmentation) == KIDNEY]
    return float(kidney.float().median()) if len(kidney) >= _FEWEST_KIDNEY_VOXELS else float("nan")


class CheckTrainingRanged(MapTransform):
    """Says in plain words where a scan lies outside of what the networks were trained on, or is without contrast.

    Reads `image` (its HU and affine), `segmentation` if contrast is looked for, and `warnings` where there are some;
    adds sentences to `warnings`, a tuple that is empty where all is well. Changes nothing that a network sees.
    """

    def __init__(
        self,
        bounds: Mapping[str, tuple[float, float]],
        keys: KeysCollection = "image",
        contrast_above_hu: float | None = None,
        segmentation_key: str = "segmentation",
    ) -> None:
        """Sets the bounds.

        Args:
            bounds: (low, high) by the names of `ScanStatistics`; what is left out is not looked at.
            keys: Where the scan is (one key).
            contrast_above_hu: A scan whose `measure_kidney_hu` is not above it seems to be without contrast; None does
                not look. That is no bound: a part of the training scans had none.
            segmentation_key: Where the label map is.

        Raises:
            ValueError: If a name is unknown, bounds are no two ascending numbers, or more than one key is given.
        """
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"CheckTrainingRanged looks at one scan, got the keys {self.keys}.")
        for name, limits in bounds.items():
            if name not in _SENTENCES:
                raise ValueError(f"Unknown bound {name!r}; allowed are {', '.join(_SENTENCES)}.")
            if len(limits) != 2 or not limits[0] <= limits[1]:
                raise ValueError(f"The bounds of {name} must be two ascending numbers, got {limits}.")
        self.bounds = {name: (float(limits[0]), float(limits[1])) for name, limits in bounds.items()}
        self.contrast_above_hu = contrast_above_hu
        self.segmentation_key = segmentation_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The case with its warnings."""
        case = dict(data)
        image = case[self.keys[0]]
        found = vars(measure_scan(image, np.asarray(image.affine)))
        case["warnings"] = (*case.get("warnings", ()), *self._sentences(found), *self._contrast(case))
        return case

    def _contrast(self, case: Mapping[Hashable, Any]) -> list[str]:
        if self.contrast_above_hu is None:
            return []
        value = measure_kidney_hu(case[self.keys[0]], case[self.segmentation_key])
        return [_NO_CONTRAST.format(value=value)] if value <= self.contrast_above_hu else []

    def _sentences(self, found: Mapping[str, float]) -> list[str]:
        sentences = []
        for name, (low, high) in self.bounds.items():
            value = found[name]
            if np.isnan(value):
                sentences.append(_NO_SOFT_TISSUE)
            elif not low <= value <= high:
                sentences.append(_SENTENCES[name].format(value=value, low=low, high=high))
        return sentences
