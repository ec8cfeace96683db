"""First-order, shape and texture features of a tumor in a slice, for a classifier without a network (Pan 2019)."""

from __future__ import annotations

import numpy as np
from scipy import stats
from skimage import feature, measure

from nephro_monai.constants import SEGMENTATION_WINDOW_HU

__all__ = ["FEATURE_NAMES", "slice_features"]

_LEVELS = 16
_DISTANCES = (1, 3)  # pixels
_ANGLES = (0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
_COOCCURRENCE = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation")
_PATTERNS = 10  # rotation-invariant uniform local binary patterns of 8 neighbors

_FIRST_ORDER_NAMES = (
    "mean_hu", "std_hu", "median_hu", "p10_hu", "p90_hu", "skewness", "kurtosis", "entropy", "energy", "fat_share",
)  # fmt: skip
_SHAPE_NAMES = (
    "area_mm2", "perimeter_mm", "major_axis_mm", "minor_axis_mm", "eccentricity", "solidity", "extent", "circularity",
)  # fmt: skip

FEATURE_NAMES: tuple[str, ...] = (
    *_FIRST_ORDER_NAMES,
    *_SHAPE_NAMES,
    *(f"{name}_{distance}" for name in _COOCCURRENCE for distance in _DISTANCES),
    *(f"pattern_{k}" for k in range(_PATTERNS)),
)
"""Names of the values of `slice_features`, in their order."""


def slice_features(hu: np.ndarray, mask: np.ndarray, pixel_mm: float = 1.0) -> np.ndarray:
    """Describes a tumor in one slice.

    First order: of the HU inside the outline (entropy in bits over 16 levels of the segmentation window, energy as the
    mean square of HU / 100, share of pixels below -20 HU). Shape: of the outline. Texture: gray-level co-occurrence at
    1 and 3 pixels averaged over four directions, pairs inside the outline only, and the shares of local binary
    patterns. What cannot be computed for a tiny outline is 0.

    Args:
        hu: (H, W) in HU.
        mask: (H, W), non-zero inside the tumor.
        pixel_mm: Pixel size.

    Returns:
        float64 values, named by `FEATURE_NAMES`; all finite.

    Raises:
        ValueError: If the shapes differ or the mask is empty.
    """
    inside = np.asarray(mask) != 0
    values = np.asarray(hu, dtype=np.float64)
    if inside.shape != values.shape or values.ndim != 2 or not inside.any():
        raise ValueError(
            f"Features need a slice and a mask of one shape with a tumor in it, got {values.shape} and {inside.shape} "
            f"with {int(inside.sum())} pixels."
        )
    low, high = SEGMENTATION_WINDOW_HU
    levels = np.clip(((values - low) / (high - low) * _LEVELS).astype(int), 0, _LEVELS - 1)
    found = [
        *_first_order(values[inside], levels[inside]),
        *_shape(inside, pixel_mm),
        *_cooccurrence(levels, inside),
        *_patterns(levels, inside),
    ]
    return np.nan_to_num(np.array(found, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _first_order(hu: np.ndarray, levels: np.ndarray) -> list[float]:
    shares = np.bincount(levels, minlength=_LEVELS) / len(levels)
    varied = bool(hu.std() > 1e-6)
    return [
        float(hu.mean()),
        float(hu.std()),
        *(float(q) for q in np.percentile(hu, [50, 10, 90])),
        float(stats.skew(hu)) if varied else 0.0,
        float(stats.kurtosis(hu)) if varied else 0.0,
        float(stats.entropy(shares, base=2)),
        float(np.mean((hu / 100.0) ** 2)),
        float((hu < -20).mean()),
    ]


def _shape(inside: np.ndarray, pixel_mm: float) -> list[float]:
    region = measure.regionprops(inside.astype(np.uint8))[0]
    perimeter = float(region.perimeter)
    return [
        float(region.area) * pixel_mm**2,
        perimeter * pixel_mm,
        float(region.axis_major_length) * pixel_mm,
        float(region.axis_minor_length) * pixel_mm,
        float(region.eccentricity),
        float(region.solidity),
        float(region.extent),
        4 * np.pi * float(region.area) / perimeter**2 if perimeter > 0 else 0.0,
    ]


def _cooccurrence(levels: np.ndarray, inside: np.ndarray) -> list[float]:
    """Level 0 stands for outside and is taken out again, so that the rim's pairs do not count."""
    own = np.where(inside, levels + 1, 0).astype(np.uint8)
    pairs = feature.graycomatrix(own, _DISTANCES, _ANGLES, levels=_LEVELS + 1, symmetric=True)[1:, 1:]
    # All directions as one table: a direction without pairs would count as much as the others otherwise.
    together = pairs.sum(axis=3, keepdims=True)
    return [float(value) for name in _COOCCURRENCE for value in feature.graycoprops(together, name)[:, 0]]


def _patterns(levels: np.ndarray, inside: np.ndarray) -> list[float]:
    patterns = feature.local_binary_pattern(levels.astype(np.uint8), 8, 1, method="uniform")
    counts = np.bincount(patterns[inside].astype(int), minlength=_PATTERNS)
    return [float(share) for share in counts / inside.sum()]
