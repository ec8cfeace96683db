"""Which voxels of a kidney and tumor mask belong to which kidney."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

__all__ = ["split_kidneys"]

_SMALLEST_KIDNEY_ML = 8.0
_TOUCHING_SHARE = 0.3
_APART_MM = 60.0


def split_kidneys(
    mask: np.ndarray, spacing_mm: Sequence[float], smallest_pole_ml: float = _SMALLEST_KIDNEY_ML
) -> np.ndarray:
    """Numbers the two kidneys of a mask, each with its tumors.

    Large components are kidneys: two of them when they lie on both sides of the midline or more than 60 mm apart. A
    single large component that reaches well over both sides is two touching kidneys, cut at the midline. Everything
    else goes to the nearest of them.

    Args:
        mask: (K, rows, columns) boolean, columns to the patient's left; kidneys with their tumors.
        spacing_mm: Voxel size along these axes.
        smallest_pole_ml: A component of this volume that is more than 60 mm apart is the second kidney. Slabs of a
            body, which may hold no more than the pole of one, need a small value.

    Returns:
        uint8 array of the same shape: 0 background, 1 the kidney at lower columns (patient's right), 2 the other. A
        single kidney is 1 or 2 by its side of the midline (the middle column).
    """
    components, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    sides = np.zeros(mask.shape, np.uint8)
    if count == 0:
        return sides
    numbers = np.arange(1, count + 1)
    volumes_ml = np.bincount(components.ravel(), minlength=count + 1)[1:] * np.prod(spacing_mm) / 1000
    columns = np.array(ndimage.center_of_mass(mask, components, numbers))[:, 2]
    middle = (mask.shape[2] - 1) / 2
    order = np.argsort(-volumes_ml)
    first = order[0]
    second = _other_kidney(order, volumes_ml, columns, middle, float(spacing_mm[2]), smallest_pole_ml)
    if second is not None:
        anchors = sorted((columns[first], columns[second]))
        nearest = 1 + (np.abs(columns - anchors[0]) > np.abs(columns - anchors[1]))
    else:
        left_share = float((components[..., int(np.ceil(middle)) :] == first + 1).sum()) / max(
            1.0, float((components == first + 1).sum())
        )
        if _TOUCHING_SHARE <= left_share <= 1 - _TOUCHING_SHARE:
            halves = 1 + (np.arange(mask.shape[2]) > middle)
            return np.where(mask, halves, 0).astype(np.uint8)
        nearest = np.full(count, 2 if columns[first] > middle else 1)
    lookup = np.concatenate(([0], nearest)).astype(np.uint8)
    return lookup[components]


def _other_kidney(
    order: np.ndarray, volumes_ml: np.ndarray, columns: np.ndarray, middle: float, column_mm: float,
    smallest_pole_ml: float,
) -> int | None:  # fmt: skip
    """Largest component that is not the same kidney as the largest of all."""
    first = order[0]
    for index in order[1:]:
        whole = volumes_ml[index] >= _SMALLEST_KIDNEY_ML
        if not whole and volumes_ml[index] < smallest_pole_ml:
            return None
        opposite = (columns[index] > middle) != (columns[first] > middle)
        if (whole and opposite) or abs(columns[index] - columns[first]) * column_mm > _APART_MM:
            return int(index)
    return None
