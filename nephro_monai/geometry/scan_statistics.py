"""Statistics of a scan that say, without a network, whether it is a CT of the abdomen as others are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["ScanStatistics", "measure_scan"]

_LOOKED_AT = 1_000_000
_SOFT_TISSUE_HU = (-60.0, 250.0)
_BIN_HU = 10.0
_BODY_ABOVE_HU = -300.0
_AIR_BELOW_HU = -920.0
_GAS_BELOW_HU = -500.0
_BONE_ABOVE_HU = 350.0
_METAL_ABOVE_HU = 2000.0
_COARSE_MM = 4.0
_SMALLEST_PART_MM2 = 2000.0
_IN_PLANE = np.pad(ndimage.generate_binary_structure(2, 1)[:, :, None], ((0, 0), (0, 0), (1, 1)))


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
        gas_share: Of the body, below -500 HU: lungs above all, and bowel gas.
        bone_share: Of the body, above 350 HU: bone, and dense contrast.
        cut_off_share: Of the edge of the axial slices, where the body goes on beyond the field of view.
        parts_share: Of the slices with a body, those with a second part of 20 cm2 or more: arms beside the trunk, legs.
        metal_ml: Above 2000 HU.
    """

    slice_thickness_mm: float
    pixel_mm: float
    field_of_view_mm: float
    length_mm: float
    darkest_hu: float
    soft_tissue_hu: float
    gas_share: float
    bone_share: float
    cut_off_share: float
    parts_share: float
    metal_ml: float


def measure_scan(image: torch.Tensor, affine: np.ndarray) -> ScanStatistics:
    """Statistics of a scan.

    Args:
        image: (1, X, Y, Z) HU, axes R-A-S.
        affine: 4x4 voxel-to-mm matrix.
    """
    x, y, z = (float(s) for s in np.linalg.norm(np.asarray(affine, dtype=float)[:3, :3], axis=0))
    volume = torch.as_tensor(image)[0]
    columns, rows, slices = volume.shape
    stride = max(1, round((columns * rows * slices / _LOOKED_AT) ** (1 / 3)))
    some = volume[::stride, ::stride, ::stride].numpy().astype(np.float32).ravel()
    steps = [max(1, round(_COARSE_MM / s)) for s in (x, y, z)]
    coarse = volume[:: steps[0], :: steps[1], :: steps[2]].numpy()
    above = coarse > _BODY_ABOVE_HU
    # Lungs count to the body, so that those which the field of view cuts open do not divide it; noise of air does not.
    body = ndimage.binary_fill_holes(ndimage.binary_opening(coarse > _AIR_BELOW_HU, _IN_PLANE), _IN_PLANE)
    within = max(1, int(body.sum()))
    return ScanStatistics(
        slice_thickness_mm=z, pixel_mm=max(x, y), field_of_view_mm=max(x * columns, y * rows), length_mm=z * slices,
        darkest_hu=float(np.percentile(some, 1)), soft_tissue_hu=_soft_tissue_hu(some),
        gas_share=float((coarse[body] < _GAS_BELOW_HU).sum() / within),
        bone_share=float((coarse[body] > _BONE_ABOVE_HU).sum() / within),
        cut_off_share=float(np.concatenate([above[[0, -1]].ravel(), above[:, [0, -1]].ravel()]).mean()),
        parts_share=_parts_share(body, steps[0] * x * steps[1] * y),
        metal_ml=int(torch.count_nonzero(volume > _METAL_ABOVE_HU)) * x * y * z / 1000,
    )  # fmt: skip


def _parts_share(body: NDArray[np.bool_], pixel_mm2: float) -> float:
    """Share of the slices of a body (X, Y, Z) that show two parts or more, what is thin (a table, clothes) left out."""
    thick = ndimage.binary_opening(body, _IN_PLANE, iterations=2)
    labels, count = ndimage.label(thick, _IN_PLANE)
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * pixel_mm2
    sizes[0] = 0.0
    parts = [int((sizes[np.unique(labels[..., k])] >= _SMALLEST_PART_MM2).sum()) for k in range(labels.shape[2])]
    shown = [n for n in parts if n]
    return sum(n > 1 for n in shown) / len(shown) if shown else 0.0


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
