"""Kidneys as they may have been before their tumors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nephro_monai.phantom.shapes import REACH_MM, Floats, Shapes, procedural_kidneys

__all__ = ["without_tumors"]

_SMALL_TUMOR_ML = 15.0
_AS_KIDNEY_SHARE = 0.7
_SMALLEST_KIDNEY_ML = 40.0
_FAR = np.float32(2 * REACH_MM)


def without_tumors(shapes: Shapes, spine: NDArray[np.float64], rng: np.random.Generator) -> Shapes:
    """Takes all tumors out.

    Cut out of its kidney, a tumor would leave a crater, and what fills a crater looks like a tumor: a round mass that
    the kidney is bent around, but without a label. So a small tumor mostly becomes kidney, and otherwise the kidney
    that bears it gives way to the mirror image of the other one, moved a little. Where there is no healthy one, both
    give way to procedural kidneys.

    Args:
        shapes: Kidneys and tumors.
        spine: (z, y, x) of the vertebra's center in mm.
        rng: Source of randomness; nothing is drawn where there is no tumor.
    """
    tumor = shapes.tumor < 0
    if not tumor.any():
        return shapes
    voxel_ml = float(np.prod(shapes.spacing)) / 1000
    if tumor.sum() * voxel_ml < _SMALL_TUMOR_ML and rng.uniform() < _AS_KIDNEY_SHARE:
        return shapes.with_fields(shapes.kidney, np.full_like(shapes.tumor, _FAR))
    centers = ndimage.center_of_mass(tumor, *_labeled(tumor))
    sides = {bool(shapes.origin[2] + x * shapes.spacing[2] > spine[2]) for _, _, x in centers}
    if len(sides) == 1 and (healthy := _other_kidney(shapes, spine, -1 if True in sides else 1)) is not None:
        return _mirrored(healthy, spine, -1 if True in sides else 1, rng)
    return _procedural(shapes, spine, rng)


def _labeled(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    components, count = ndimage.label(mask)
    return components, np.arange(1, count + 1)


def _other_kidney(shapes: Shapes, spine: NDArray[np.float64], side: int) -> Shapes | None:
    """The kidney on one side of the spine (-1 or 1) by itself; None if it is too small to be one."""
    here = (shapes.coordinates[2] - spine[2]) * side >= 0
    kidney = np.where(here, np.maximum(shapes.kidney, 1 - shapes.tumor), _FAR)  # a huge tumor crosses the middle
    components, numbers = _labeled(kidney < 0)
    sizes = np.bincount(components.ravel())[1:]
    if not len(numbers) or sizes.max() * float(np.prod(shapes.spacing)) / 1000 < _SMALLEST_KIDNEY_ML:
        return None
    crumbs = np.isin(components, numbers[sizes < sizes.max()])
    kidney = np.where(crumbs, np.float32(3.0), kidney).astype(np.float32)
    return shapes.with_fields(kidney, np.full_like(kidney, _FAR))


def _mirrored(one: Shapes, spine: NDArray[np.float64], side: int, rng: np.random.Generator) -> Shapes:
    """Two kidneys from one on `side` of the spine (-1 or 1), which lie a little apart in height and depth."""
    move = rng.uniform((-10, -4, 0), (10, 4, 0))
    inside = np.argwhere(one.kidney < 0) * one.spacing + one.origin
    if np.abs(inside[:, 2] - spine[2]).min() < REACH_MM:
        move = np.zeros(3)  # halves of a horseshoe stay together
    image = inside * (1, 1, -1) + (0, 0, 2 * spine[2]) + move
    wide = _widened(one, image.min(axis=0) - REACH_MM, image.max(axis=0) + REACH_MM)
    columns = wide.kidney.shape[2]
    turned = 2 * (spine[2] - wide.origin[2]) / wide.spacing[2] - (columns - 1)
    shift = move / wide.spacing + (0, 0, turned)
    other = ndimage.shift(wide.kidney[:, :, ::-1], shift, order=1, mode="nearest")
    here = (wide.coordinates[2] - spine[2]) * side >= 0
    return wide.with_fields(np.where(here, wide.kidney, other).astype(np.float32), wide.tumor)


def _widened(shapes: Shapes, low: NDArray[np.float64], high: NDArray[np.float64]) -> Shapes:
    """The same shapes on a grid that reaches from `low` to `high` (mm) at least."""
    spacing = np.array(shapes.spacing)
    end = shapes.origin + (np.array(shapes.kidney.shape) - 1) * spacing
    before = np.ceil(np.maximum(shapes.origin - low, 0) / spacing).astype(int)
    after = np.ceil(np.maximum(high - end, 0) / spacing).astype(int)
    pads = list(zip(before.tolist(), after.tolist(), strict=True))
    fields: list[Floats] = [np.pad(field, pads, mode="edge") for field in (shapes.kidney, shapes.tumor)]
    return Shapes(shapes.origin - before * spacing, shapes.spacing, *fields)


def _procedural(shapes: Shapes, spine: NDArray[np.float64], rng: np.random.Generator) -> Shapes:
    """Procedural kidneys beside the spine, at the height and depth of those that were there."""
    drawn = procedural_kidneys(rng, (-1, 1))
    middle = [np.argwhere(own.kidney < 0).mean(axis=0) * own.spacing + own.origin for own in (shapes, drawn)]
    move = middle[0] - middle[1]
    move[2] = spine[2]
    return replace(drawn, origin=drawn.origin + move)
