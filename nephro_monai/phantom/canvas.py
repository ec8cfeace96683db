"""The voxel grid in mm, smooth random fields, and the shapes every organ is painted with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

from nephro_monai.phantom.tissues import Tissue

__all__ = ["Bounds", "Canvas", "Grid", "rotation_matrix", "smooth_noise", "upsample"]

Bounds = tuple[slice, slice, slice]
Floats = NDArray[np.float32]
_RIPPLE_PEAK = 2.5  # in standard deviations


def upsample(coarse: NDArray[np.floating], shape: tuple[int, int, int]) -> Floats:
    """Trilinear interpolation of a coarse field over the same extent (corners aligned)."""
    source = torch.from_numpy(np.ascontiguousarray(coarse, dtype=np.float32))[None, None]
    fine = functional.interpolate(source, size=shape, mode="trilinear", align_corners=True)
    return fine[0, 0].numpy()


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int, int], spacing: tuple[float, float, float], scale_mm: float
) -> Floats:
    """Smooth Gaussian random field of about unit variance whose features are `scale_mm` wide.

    Drawn on a coarse grid and interpolated: a full-resolution Gaussian filter would cost a hundred times more.
    """
    coarse = [max(3, int(np.ceil(n * s / (0.5 * scale_mm))) + 3) for n, s in zip(shape, spacing, strict=True)]
    field = ndimage.gaussian_filter(rng.standard_normal(coarse, dtype=np.float32), 1.0, mode="reflect")
    field /= max(float(field.std()), 1e-6)
    return upsample(field, shape)


def rotation_matrix(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> NDArray[np.float64]:
    """Rotation in (z, y, x) order: `yaw` turns in the axial plane, the others tilt the long axis (radians)."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin))
    axial = np.array([[1, 0, 0], [0, cy, -sy], [0, sy, cy]])
    sagittal = np.array([[cp, -sp, 0], [sp, cp, 0], [0, 0, 1]])
    coronal = np.array([[cr, 0, -sr], [0, 1, 0], [sr, 0, cr]])
    return np.asarray(axial @ sagittal @ coronal)


@dataclass(frozen=True)
class Grid:
    """Voxel grid in KiTS19's axes: slices to inferior, rows to posterior, columns to the patient's left.

    Attributes:
        shape: (slices, rows, columns).
        spacing: mm along the same axes.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]

    @cached_property
    def axes(self) -> tuple[Floats, Floats, Floats]:
        """Voxel centers in mm along each axis, 0 in the middle of the volume."""
        z, y, x = (
            ((np.arange(n) - (n - 1) / 2) * s).astype(np.float32) for n, s in zip(self.shape, self.spacing, strict=True)
        )
        return z, y, x

    @property
    def extent(self) -> tuple[float, float, float]:
        """Size in mm along each axis."""
        z, y, x = (n * s for n, s in zip(self.shape, self.spacing, strict=True))
        return z, y, x

    def bounds(self, low: NDArray[np.floating], high: NDArray[np.floating]) -> Bounds | None:
        """Index box of a box in mm, cut to the grid; None where they do not meet."""
        found = []
        for axis, a, b in zip(self.axes, low, high, strict=True):
            start, stop = int(np.searchsorted(axis, a)), int(np.searchsorted(axis, b, side="right"))
            if start >= stop:
                return None
            found.append(slice(start, stop))
        return found[0], found[1], found[2]

    def local(self, bounds: Bounds, center: NDArray[np.floating]) -> tuple[Floats, Floats, Floats]:
        """Broadcastable mm coordinates of an index box relative to `center`."""
        z, y, x = (axis[b] - np.float32(c) for axis, b, c in zip(self.axes, bounds, center, strict=True))
        return z[:, None, None], y[None, :, None], x[None, None, :]


class Canvas:
    """Tissue volume under construction.

    Attributes:
        grid: The voxel grid.
        tissue: uint8 (slices, rows, columns) of `Tissue` ids.
        wobble: Smooth random field of unit variance that keeps shapes from being perfect.
        ripple: The same, finer.
    """

    def __init__(self, grid: Grid, rng: np.random.Generator) -> None:
        """Starts with air everywhere."""
        self.grid = grid
        self.rng = rng
        self.tissue = np.zeros(grid.shape, np.uint8)
        self.wobble = smooth_noise(rng, grid.shape, grid.spacing, 45.0)
        self.ripple = smooth_noise(rng, grid.shape, grid.spacing, 16.0)

    def ellipsoid(
        self,
        center: NDArray[np.floating],
        radii: NDArray[np.floating],
        rotation: NDArray[np.floating] | None = None,
        wobble: float = 0.0,
        ripple: float = 0.0,
    ) -> tuple[Bounds, Floats] | None:
        """Squared radial coordinate of an ellipsoid (below 1 inside) in its bounding box, None outside the grid.

        Args:
            center: (z, y, x) in mm.
            radii: Semi-axes in mm along the ellipsoid's own z, y, x.
            rotation: From the ellipsoid's own axes to the grid's.
            wobble: Amplitude of the coarse irregularity, relative to the squared radius.
            ripple: The same for the fine one.
        """
        turn = np.eye(3) if rotation is None else np.asarray(rotation)
        radii = np.asarray(radii, dtype=float)
        reach = np.sqrt((turn**2) @ radii**2) * (1 + 0.9 * (wobble + ripple))
        bounds = self.grid.bounds(center - reach, center + reach)
        if bounds is None:
            return None
        form = (turn @ np.diag(radii**-2.0) @ turn.T).astype(np.float32)
        z, y, x = self.grid.local(bounds, center)
        plane = form[1, 1] * y**2 + form[2, 2] * x**2 + 2 * form[1, 2] * y * x
        slope = 2 * (form[0, 1] * y + form[0, 2] * x)
        gauge = z * slope
        gauge += plane
        gauge += form[0, 0] * z**2
        if wobble:
            gauge += np.float32(wobble) * self.wobble[bounds]
        if ripple:
            gauge += np.float32(ripple) * self.ripple[bounds]
        return bounds, gauge

    def tube(
        self, points: NDArray[np.floating], radii: NDArray[np.floating], ripple: float = 0.0
    ) -> tuple[Bounds, Floats] | None:
        """Signed distance in mm (negative inside) to a chain of spheres, in its bounding box.

        Args:
            points: (N, 3) centers (z, y, x) in mm; consecutive ones are joined by more spheres.
            radii: (N,) in mm.
            ripple: Amplitude of the fine irregularity in mm.
        """
        points, radii = _densify(np.asarray(points, float), np.asarray(radii, float))
        margin = 1.5 + _RIPPLE_PEAK * ripple  # further out no ripple reaches, and every distance may be this one
        slab = np.float32(0.35 * self.grid.spacing[0])
        reach = radii[:, None] + np.array([margin + slab, margin, margin])
        bounds = self.grid.bounds((points - reach).min(0), (points + reach).max(0))
        if bounds is None:
            return None
        distance = np.full(tuple(b.stop - b.start for b in bounds), margin, np.float32)
        axes = [axis[b] for axis, b in zip(self.grid.axes, bounds, strict=True)]
        low, high = points - reach, points + reach
        starts = np.stack([np.searchsorted(axis, low[:, k], "left") for k, axis in enumerate(axes)], axis=1)
        stops = np.stack([np.searchsorted(axis, high[:, k], "right") for k, axis in enumerate(axes)], axis=1)
        for point, radius, start, stop in zip(points, radii, starts, stops, strict=True):
            window = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
            z, y, x = (a[w] - np.float32(p) for a, w, p in zip(axes, window, point, strict=True))
            # Thin vessels must not fall between thick slices: a slice sees a part of its neighborhood.
            z = np.maximum(np.abs(z) - slab, 0)
            view = distance[window]
            square = (z * z)[:, None, None] + (y * y)[:, None] + x * x
            np.minimum(view, np.sqrt(square) - np.float32(radius), out=view)
        if ripple:
            distance += np.float32(ripple) * self.ripple[bounds].clip(-_RIPPLE_PEAK, _RIPPLE_PEAK)
        return bounds, distance

    def paint(
        self,
        bounds: Bounds,
        mask: NDArray[np.bool_],
        tissue: Tissue,
        over: tuple[Tissue, ...] | None = (Tissue.VISCERAL_FAT,),
    ) -> None:
        """Sets a tissue where `mask` holds, only over the tissues in `over` (None: over everything)."""
        view = self.tissue[bounds]
        if over is not None:
            allowed = view == over[0]
            for other in over[1:]:
                allowed |= view == other
            mask = mask & allowed
        view[mask] = tissue


def _densify(points: NDArray[np.floating], radii: NDArray[np.floating]) -> tuple[NDArray, NDArray]:
    """Adds spheres between consecutive ones so that the chain looks like a tube."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    spacing = np.maximum(0.55 * np.minimum(radii[:-1], radii[1:]), 0.8)
    counts = np.maximum(1, np.ceil(steps / spacing)).astype(int)
    at = np.concatenate([i + np.arange(n) / n for i, n in enumerate(counts)] + [np.array([len(points) - 1.0])])
    index = np.arange(len(points))
    dense = np.stack([np.interp(at, index, points[:, k]) for k in range(3)], axis=1)
    return dense, np.interp(at, index, radii)
