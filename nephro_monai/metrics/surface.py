"""Distances between the surfaces of two masks: surface Dice and the 95 % Hausdorff distance.

Only surface points are compared (nearest neighbors in a k-d tree), inside the box around both masks: a kidney pair has
some 50,000 of them, its box millions of voxels.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

__all__ = ["hausdorff95_mm", "surface_dice"]

Spacing = tuple[float, float, float]

_MOST_TREE_POINTS = 2_000_000
"""Above it (noise, not organs) a distance map of the box needs less memory than a tree."""


def surface_dice(prediction: np.ndarray, truth: np.ndarray, spacing_mm: Spacing, tolerance_mm: float) -> float:
    """Share of both surfaces that lies within a tolerance of the other one, as KiTS21 and KiTS23 score it.

    The definition of Nikolov et al. 2018 (arXiv 1809.04430): surface elements sit between the voxels, each weighted
    with its area. KiTS23's rule for empty masks: 1 if both are empty, 0 if one is.

    Args:
        prediction: (I, J, K) bool.
        truth: (I, J, K) bool.
        spacing_mm: Voxel size along the axes.
        tolerance_mm: Largest distance that counts as agreement.

    Returns:
        0..1.

    Raises:
        ValueError: If the shapes differ, are not 3-D, or the tolerance is negative.
    """
    if tolerance_mm < 0:
        raise ValueError(f"A tolerance is 0 mm or more, got {tolerance_mm}.")
    pair = _cropped(prediction, truth)
    if pair is None:
        return float(not prediction.any() and not truth.any())
    spacing = _triple(spacing_mm)
    (a, a_area), (b, b_area) = (_surface_elements(mask, spacing) for mask in pair)
    shape = tuple(n + 1 for n in pair[0].shape)
    within = a_area[_distances(a, b, shape, spacing) <= tolerance_mm].sum()
    within += b_area[_distances(b, a, shape, spacing) <= tolerance_mm].sum()
    return float(within / (a_area.sum() + b_area.sum()))


def hausdorff95_mm(prediction: np.ndarray, truth: np.ndarray, spacing_mm: Spacing) -> float | None:
    """95 % Hausdorff distance: the larger of both directions' 95th percentiles, from edge voxel to edge voxel.

    An edge voxel has a neighbor across a face that is not in the mask (MONAI's `compute_hausdorff_distance`).

    Args:
        prediction: (I, J, K) bool.
        truth: (I, J, K) bool.
        spacing_mm: Voxel size along the axes.

    Returns:
        mm; None if a mask is empty, since no distance is defined then.

    Raises:
        ValueError: If the shapes differ or are not 3-D.
    """
    pair = _cropped(prediction, truth)
    if pair is None:
        return None
    a, b = (np.flatnonzero(mask & ~ndimage.binary_erosion(mask)) for mask in pair)
    shape, spacing = pair[0].shape, _triple(spacing_mm)
    return float(max(np.percentile(_distances(p, q, shape, spacing), 95) for p, q in ((a, b), (b, a))))


def _cropped(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Both masks in the box around both; None if one is empty."""
    if prediction.shape != truth.shape or truth.ndim != 3:
        raise ValueError(f"Prediction and truth must have one 3-D shape, got {prediction.shape} and {truth.shape}.")
    box = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        lines = [np.flatnonzero(mask.any(axis=others)) for mask in (prediction, truth)]
        if not all(len(line) for line in lines):
            return None
        box.append(slice(min(int(v[0]) for v in lines), max(int(v[-1]) for v in lines) + 1))
    inside = tuple(box)
    return np.ascontiguousarray(prediction[inside] != 0), np.ascontiguousarray(truth[inside] != 0)


def _surface_elements(mask: np.ndarray, spacing: Spacing) -> tuple[np.ndarray, np.ndarray]:
    """Flat indices of the surface elements on the lattice between the voxels, and their areas in mm2."""
    areas, weights = _area_table(spacing)
    padded = np.pad(mask, 1).view(np.uint8)
    shape = tuple(n + 1 for n in mask.shape)
    codes = np.zeros(shape, np.uint8)
    for (i, j, k), weight in np.ndenumerate(weights):
        codes += padded[i : i + shape[0], j : j + shape[1], k : k + shape[2]] * weight
    flat = codes.ravel()
    elements = np.flatnonzero((flat != 0) & (flat != len(areas) - 1))
    return elements, areas[flat[elements]]


@lru_cache(maxsize=64)
def _area_table(spacing: Spacing) -> tuple[np.ndarray, np.ndarray]:
    """Area by the code of a 2 x 2 x 2 neighborhood (256,), and the voxels' weights in that code (2, 2, 2)."""
    from monai.metrics.utils import create_table_neighbour_code_to_surface_area

    areas, kernel = create_table_neighbour_code_to_surface_area(spacing)
    return areas.double().numpy(), kernel.numpy().reshape(2, 2, 2).astype(np.uint8)


def _distances(start: np.ndarray, goal: np.ndarray, shape: tuple[int, ...], spacing: Spacing) -> np.ndarray:
    """Distance in mm from each start to the nearest goal, both flat indices into `shape`."""
    if max(len(start), len(goal)) > _MOST_TREE_POINTS:
        away = np.ones(shape, bool)
        away.flat[goal] = False
        return ndimage.distance_transform_edt(away, sampling=spacing).ravel()[start]
    here, there = (np.column_stack(np.unravel_index(flat, shape)) * np.asarray(spacing) for flat in (start, goal))
    return cKDTree(there, compact_nodes=False, balanced_tree=False).query(here)[0]


def _triple(values: Spacing) -> Spacing:
    i, j, k = (float(value) for value in values)
    return i, j, k
