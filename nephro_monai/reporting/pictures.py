"""Slices as small pictures, and which slices a page shows."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection

import numpy as np
import torch
from matplotlib import colormaps
from PIL import Image
from torch.nn import functional

__all__ = [
    "choose_slices",
    "fitted_size",
    "jpeg",
    "jpeg_data_uri",
    "overlay_map",
    "png_data_uri",
    "spread",
    "window_to_gray",
]


def window_to_gray(hu: np.ndarray, window_hu: tuple[float, float]) -> np.ndarray:
    """HU as uint8 gray of the same shape: 0 at and below the window, 255 at and above it."""
    lower, upper = window_hu
    scaled = (hu.astype(np.float32) - lower) * (255.0 / (upper - lower))
    return np.rint(np.clip(scaled, 0.0, 255.0)).astype(np.uint8)


def overlay_map(gray: np.ndarray, weights: np.ndarray, strength: float = 0.7) -> np.ndarray:
    """Lays a map over a gray picture of the same field of view: the more weight, the more of the map's color.

    Args:
        gray: (rows, columns) uint8.
        weights: (h, w) 0..1, coarser; its corners are the picture's corners, as MONAI's Grad-CAM stretches its maps.
        strength: Share of the map's color where the weight is 1.

    Returns:
        (rows, columns, 3) uint8.
    """
    stretched = functional.interpolate(
        torch.from_numpy(np.ascontiguousarray(weights, dtype=np.float32))[None, None], gray.shape, mode="bilinear",
        align_corners=True,
    )[0, 0].numpy()  # fmt: skip
    color = colormaps["inferno"](stretched)[..., :3] * 255.0
    share = (strength * stretched)[..., None]
    return np.rint((1 - share) * gray[..., None] + share * color).astype(np.uint8)


def fitted_size(shape: tuple[int, int], spacing_mm: tuple[float, float], longest_pixels: int) -> tuple[int, int]:
    """Width and height of a picture with square pixels, no finer than the slice and no longer than a limit.

    Args:
        shape: Rows and columns of the slice.
        spacing_mm: Pixel size from row to row and from column to column.
        longest_pixels: Limit for the longer side.
    """
    height_mm, width_mm = shape[0] * spacing_mm[0], shape[1] * spacing_mm[1]
    pixel_mm = max(min(spacing_mm), max(height_mm, width_mm) / longest_pixels)
    return max(1, round(width_mm / pixel_mm)), max(1, round(height_mm / pixel_mm))


def jpeg(pixels: np.ndarray, size: tuple[int, int] | None = None, quality: int = 80) -> bytes:
    """Encodes uint8 pixels, gray (rows, columns) or RGB (rows, columns, 3), resized to (width, height) first."""
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if size is not None and size != picture.size:
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def jpeg_data_uri(encoded: bytes) -> str:
    """A JPEG as an address that a page can hold."""
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode("ascii")


def png_data_uri(pixels: np.ndarray, size: tuple[int, int]) -> str:
    """uint8 pixels, gray or RGB, resized to (width, height), as a PNG that a page can hold.

    Gray is interpolated; colors, which stand for classes, are not mixed.
    """
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.BILINEAR if pixels.ndim == 2 else Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def spread(items: Collection[int], maximum: int) -> list[int]:
    """At most `maximum` of the items, in ascending order, evenly spread, first and last among them."""
    ordered = sorted(items)
    if len(ordered) <= maximum:
        return ordered
    return [ordered[i] for i in np.unique(np.rint(np.linspace(0, len(ordered) - 1, maximum)).astype(int))]


def choose_slices(count: int, marked: Collection[int], wanted: Collection[int] = (), maximum: int = 120) -> list[int]:
    """Which axial slices a page shows: all of a short scan, else those with findings finely and the rest coarsely.

    Args:
        count: Slices of the scan.
        marked: Slices that show a kidney or tumor; a fifth of the page is kept for the others.
        wanted: Slices that are shown in any case (those with a vote).
        maximum: Slices on the page.

    Returns:
        Indices in ascending order, at most `maximum` (or as many as are wanted).
    """
    if count <= maximum:
        return list(range(count))
    chosen = set(wanted)
    chosen |= set(spread(set(marked) - chosen, max(0, maximum - maximum // 5 - len(chosen))))
    elsewhere = set(range(count)) - set(marked) - chosen
    chosen |= set(spread(elsewhere, max(0, maximum - len(chosen))))
    return sorted(chosen)
