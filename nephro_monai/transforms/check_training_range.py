"""Warns where a scan lies outside of what the networks were trained on, or seems to be without contrast."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from nephro_monai.constants import KIDNEY

__all__ = ["CheckTrainingRanged", "ScanStatistics", "measure_kidney_hu", "measure_scan"]

_LOOKED_AT = 1_000_000
_SOFT_TISSUE_HU = (-60.0, 250.0)
_BIN_HU = 10.0
_BODY_ABOVE_HU = -300.0
_FEWEST_KIDNEY_VOXELS = 200


@dataclass(frozen=True)
class ScanStatistics:
    """What can be said of a scan without a network; each is a name that bounds may be given for.

    Attributes:
        slice_thickness_mm: From axial slice to axial slice.
        pixel_mm: In the axial plane, the larger of the two.
        field_of_view_mm: In the axial plane, the larger of the two.
        length_mm: From the lowest slice to the highest.
        darkest_hu: 1st percentile of all voxels: air or fat in CT.
        soft_tissue_hu: Most frequent HU between -60 and 250, apart from the slope of the fat; not a number where hardly
            any voxel lies there.
    """

    slice_thickness_mm: float
    pixel_mm: float
    field_of_view_mm: float
    length_mm: float
    darkest_hu: float
    soft_tissue_hu: float


_TRAINED_ON = "the networks were trained on {low:.3g} to {high:.3g}"
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
}
_NO_CONTRAST = (
    "The scan seems to be without contrast agent (what was outlined as kidney has {value:.0f} HU); without it tumors "
    "are hard to see, for the networks too."
)
_NO_SOFT_TISSUE = (
    "Hardly any voxel has the HU of soft tissue: the values may not be HU, or this is no CT of the abdomen."
)


def measure_scan(image: torch.Tensor, affine: np.ndarray) -> ScanStatistics:
    """Statistics of a scan.

    Args:
        image: (1, X, Y, Z) HU, axes R-A-S.
        affine: 4x4 voxel-to-mm matrix.
    """
    x, y, z = (float(s) for s in np.linalg.norm(np.asarray(affine, dtype=float)[:3, :3], axis=0))
    columns, rows, slices = image.shape[1:]
    stride = max(1, round((columns * rows * slices / _LOOKED_AT) ** (1 / 3)))
    some = torch.as_tensor(image)[0, ::stride, ::stride, ::stride].numpy().astype(np.float32).ravel()
    return ScanStatistics(
        slice_thickness_mm=z, pixel_mm=max(x, y), field_of_view_mm=max(x * columns, y * rows), length_mm=z * slices,
        darkest_hu=float(np.percentile(some, 1)), soft_tissue_hu=_soft_tissue_hu(some),
    )  # fmt: skip


def _soft_tissue_hu(values: np.ndarray) -> float:
    """Where the histogram peaks among the HU of soft tissue, NaN where under 5 % of the body lies there.

    Only peaks count: in a stout patient the slope of the noisy fat is higher than all soft tissue. Without a peak (in
    very noisy scans) it is the median.
    """
    low, high = _SOFT_TISSUE_HU
    inside = values[(values > low) & (values < high)]
    if not len(inside) or len(inside) < 0.05 * (values > _BODY_ABOVE_HU).sum():
        return float("nan")
    counts, edges = np.histogram(inside, bins=round((high - low) / _BIN_HU), range=(low, high))
    smooth = np.convolve(np.pad(counts, 2, mode="edge"), [0.1, 0.2, 0.4, 0.2, 0.1], mode="valid")
    peaks = np.flatnonzero((smooth[1:-1] > smooth[:-2]) & (smooth[1:-1] >= smooth[2:])) + 1
    if not len(peaks):
        return float(np.median(inside))
    best = int(peaks[smooth[peaks].argmax()])
    return float(0.5 * (edges[best] + edges[best + 1]))


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
