"""From tissues to HU, and from HU to what a scanner would have written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nephro_monai.phantom.canvas import Canvas, Grid
from nephro_monai.phantom.parameters import PARAMETERS, Parameters, Range
from nephro_monai.phantom.tissues import Phase, Tissue

__all__ = ["acquire", "add_metal", "render_hu"]

Floats = NDArray[np.float32]


def render_hu(canvas: Canvas, hu: dict[Tissue, float], phase: Phase, parameters: Parameters = PARAMETERS) -> Floats:
    """Ideal HU of every voxel but the tumors' (float32, (slices, rows, columns)), without blur and noise."""
    rng = canvas.rng
    mean, texture = np.zeros(256, np.float32), np.zeros(256, np.float32)
    for tissue in parameters.tissue_hu:
        mean[tissue] = hu[tissue]
    for tissue, (low, high) in parameters.texture_hu.items():
        texture[tissue] = rng.uniform(low, high)
    image = mean[canvas.tissue]
    image += texture[canvas.tissue] * canvas.ripple
    for tissue, (low, high) in parameters.mottle_hu.items():
        _mottle(canvas, image, tissue, rng.uniform(low, high))
    if phase == "arterial" and rng.uniform() < parameters.spleen_stripes["stripes_share"]:
        _stripes(canvas, image, parameters)
    return np.asarray(image, dtype=np.float32)


def _mottle(canvas: Canvas, image: Floats, tissue: Tissue, sigma: float) -> None:
    """Voxel-scale texture of one tissue."""
    where = canvas.tissue == tissue
    image[where] += np.float32(sigma) * canvas.rng.standard_normal(int(where.sum()), dtype=np.float32)


def _stripes(canvas: Canvas, image: Floats, parameters: Parameters) -> None:
    """The moire of the early arterial spleen."""
    where = np.nonzero(canvas.tissue == Tissue.SPLEEN)
    if not len(where[0]):
        return
    rng = canvas.rng
    z, y, x = (a[i] for a, i in zip(canvas.grid.axes, where, strict=True))
    direction = rng.normal(0, 1, 3)
    direction *= 2 * np.pi / rng.uniform(*parameters.spleen_stripes["wavelength_mm"]) / np.linalg.norm(direction)
    phase = direction[0] * z + direction[1] * y + direction[2] * x + 2.2 * canvas.ripple[where]
    image[where] += np.float32(rng.uniform(*parameters.spleen_stripes["height_hu"])) * np.sin(phase).astype(np.float32)


def acquire(
    image: Floats, grid: Grid, rng: np.random.Generator, metal: bool, parameters: Parameters = PARAMETERS
) -> NDArray[np.int16]:
    """Blurs, averages along z, adds noise and streaks, and rounds (in this order, after all geometry).

    Args:
        image: Ideal HU; overwritten.
        grid: Its grid.
        rng: Source of randomness.
        metal: Whether a metal implant throws streaks.
        parameters: Ranges.

    Returns:
        int16 HU within -1024..3071.
    """
    ranges = parameters.acquisition
    thin = min(1.0, 0.9 / grid.spacing[1])
    sigma = float(np.clip(rng.uniform(*ranges["blur_pixels"]) * (0.75 + 0.5 * thin), 0.25, 1.4))
    for axis in (1, 2):
        image = ndimage.gaussian_filter1d(image, sigma, axis=axis, truncate=2.5, mode="nearest")
    overlap = rng.uniform(*ranges["slice_overlap"])
    image = ndimage.correlate1d(image, [overlap, 1 - 2 * overlap, overlap], axis=0, mode="nearest")
    body = image > -600
    image *= np.float32(1 + rng.uniform(-ranges["gain"], ranges["gain"]))
    image += np.float32(rng.uniform(-ranges["offset_hu"], ranges["offset_hu"]))
    level = _log_uniform(rng, ranges["noise_hu"])
    noise = _noise(grid, rng, ranges)
    noise[~body] *= 0.35
    noise *= np.float32(level)
    image += noise
    if rng.uniform() < ranges["streak_share"]:
        image += _starvation(grid, rng, ranges["streak_hu"]) * np.where(body, 1, np.float32(0.3))
    if metal:
        add_metal(image, body, grid, rng, ranges["metal_streak_hu"])
    np.clip(image, -1024, 3071, out=image)
    if rng.uniform() < 0.5:
        image[image < -960] = -1000 if rng.uniform() < 0.5 else -1024
    return np.rint(image).astype(np.int16)


def _log_uniform(rng: np.random.Generator, bounds: Range) -> float:
    low, high = bounds
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _noise(grid: Grid, rng: np.random.Generator, ranges: Mapping[str, Any]) -> Floats:
    """Unit-variance noise, correlated in plane and a little along z, sometimes without low frequencies."""
    noise = rng.standard_normal(grid.shape, dtype=np.float32)
    sigma = rng.uniform(*ranges["noise_blur_pixels"])
    if sigma > 0.3:
        for axis in (1, 2):
            noise = ndimage.gaussian_filter1d(noise, sigma, axis=axis, truncate=2.5)
    if rng.uniform() < ranges["noise_along_slices_share"]:
        share = rng.uniform(*ranges["noise_along_slices"])
        noise = ndimage.correlate1d(noise, [share, 1 - 2 * share, share], axis=0)
    if rng.uniform() < ranges["sharp_kernel_share"]:
        low = ndimage.uniform_filter(noise, (1, 5, 5))
        noise -= np.float32(rng.uniform(*ranges["removed_low_frequencies"])) * low
    noise /= max(float(noise[:: max(1, grid.shape[0] // 8)].std()), 1e-6)
    return np.asarray(noise, dtype=np.float32)


def _starvation(grid: Grid, rng: np.random.Generator, level_hu: Range) -> Floats:
    """Long horizontal streaks, as the arms or the hips leave."""
    slices, rows, columns = grid.shape
    lines = rng.standard_normal((slices, rows, max(4, columns // 24)), dtype=np.float32)
    at = np.linspace(0, lines.shape[2] - 1, columns)
    low = np.minimum(at.astype(int), lines.shape[2] - 2)
    share = (at - low).astype(np.float32)
    streaks = lines[:, :, low] * (1 - share) + lines[:, :, low + 1] * share
    streaks *= np.float32(_log_uniform(rng, level_hu))
    return np.asarray(streaks, dtype=np.float32)


def add_metal(
    image: Floats,
    body: NDArray[np.bool_],
    grid: Grid,
    rng: np.random.Generator,
    streak_hu: Range = PARAMETERS.acquisition["metal_streak_hu"],
) -> None:
    """Adds up to three clips or implants, each with a star of bright and dark streaks over a few slices, in place.

    Args:
        image: HU, (slices, rows, columns).
        body: Where the patient is.
        grid: Its grid.
        rng: Source of randomness.
        streak_hu: Bounds of their height next to the metal.
    """
    inside = np.argwhere(body[::4, ::8, ::8]) * [4, 8, 8]
    if not len(inside):
        return
    for _ in range(int(rng.integers(1, 4))):
        slice_index, row, column = inside[int(rng.integers(len(inside)))]
        half = max(1, int(rng.uniform(2, 14) / grid.spacing[0]))
        zs = slice(max(0, slice_index - half), slice_index + half + 1)
        y = grid.axes[1] - grid.axes[1][row]
        x = grid.axes[2] - grid.axes[2][column]
        distance = np.hypot(y[:, None], x[None, :])
        angle = np.arctan2(y[:, None], x[None, :])
        star = np.zeros_like(angle)
        for _ in range(6):
            star += np.cos(2 * int(rng.integers(1, 14)) * angle + rng.uniform(0, 6.28)) * rng.uniform(0.2, 1)
        star *= rng.uniform(*streak_hu) / (1 + distance / rng.uniform(12, 35))
        image[zs] += np.where(body[zs], star[None].astype(np.float32), 0)
        image[zs][:, distance < rng.uniform(1.5, 5)] = 3000
