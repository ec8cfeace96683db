"""Outlines of labels in one slice, as polygons and as SVG paths."""

from __future__ import annotations

import numpy as np
from skimage.measure import approximate_polygon, find_contours

__all__ = ["SVG_UNITS_PER_PIXEL", "mask_outlines", "svg_path"]

SVG_UNITS_PER_PIXEL = 2
"""Corners lie on half pixels, so in these units they are integers, which write shortest."""


def mask_outlines(mask: np.ndarray, tolerance_pixels: float = 0.4) -> list[np.ndarray]:
    """Outlines of a mask, holes included, between its pixels and their neighbors.

    Args:
        mask: (rows, columns), bool.
        tolerance_pixels: How far a simplified outline may leave the exact one.

    Returns:
        Closed polygons (N, 2) as x, y in pixels from the picture's upper left corner, so that the middle of
        the first pixel is (0.5, 0.5). No polygon for an empty mask.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return []
    top, left = int(rows[0]), int(columns[0])
    inside = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    contours = find_contours(np.pad(inside, 1).astype(np.float32), 0.5)
    # The padding shifts by one pixel, the middle of a pixel by half of one.
    offset = np.array([left - 0.5, top - 0.5])
    return [approximate_polygon(contour, tolerance_pixels)[:, ::-1] + offset for contour in contours]


def svg_path(polygons: list[np.ndarray]) -> str:
    """Polygons as the `d` of one SVG path, in `SVG_UNITS_PER_PIXEL` units; empty for none."""
    parts = []
    for polygon in polygons:
        points = np.rint(polygon * SVG_UNITS_PER_PIXEL).astype(int)
        steps = np.diff(points[:-1], axis=0)
        moves = " ".join(f"{x} {y}" for x, y in steps)
        parts.append(f"M{points[0, 0]} {points[0, 1]}l{moves}z" if len(steps) else "")
    return "".join(parts)
