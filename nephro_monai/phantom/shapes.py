"""Kidney and tumor shapes as signed distances: from a real label map, or procedural."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

from nephro_monai.errors import TrainingDataError
from nephro_monai.phantom.canvas import Grid, rotation_matrix, smooth_noise

__all__ = [
    "REACH_MM",
    "RealLabels",
    "Shapes",
    "deform_labels",
    "ellipsoid_distance",
    "hull_depth",
    "procedural_kidneys",
    "read_label_map",
]

Floats = NDArray[np.float32]
REACH_MM = 12.0
"""Signed distances are clipped here; nothing looks farther from a kidney than this."""


@dataclass(frozen=True)
class RealLabels:
    """A label map, cropped to what is labeled.

    Attributes:
        kidney: Signed distance in mm (negative inside) to kidney with tumor, (slices, rows, columns).
        tumor: The same to the tumor.
        spacing: mm.
        center: Center of the crop in mm from the middle of the scan.
        px: In-plane spacing of the scan in mm.
    """

    kidney: Floats
    tumor: Floats
    spacing: tuple[float, float, float]
    center: NDArray[np.float64]
    px: float


@dataclass(frozen=True)
class Shapes:
    """Signed distances in mm (negative inside, clipped) on a coarse grid in the body's mm coordinates.

    Attributes:
        origin: mm coordinates of the first voxel.
        spacing: mm.
        kidney: Kidney with tumor.
        tumor: Tumor; all positive without one.
    """

    origin: NDArray[np.float64]
    spacing: tuple[float, float, float]
    kidney: Floats
    tumor: Floats

    @property
    def coordinates(self) -> tuple[Floats, Floats, Floats]:
        """Broadcastable mm coordinates."""
        z, y, x = (
            (o + np.arange(n) * s).astype(np.float32)
            for o, n, s in zip(self.origin, self.kidney.shape, self.spacing, strict=True)
        )
        return z[:, None, None], y[None, :, None], x[None, None, :]

    def with_fields(self, kidney: Floats, tumor: Floats) -> Shapes:
        """The same grid with other shapes."""
        return replace(self, kidney=kidney, tumor=tumor)


def _signed_distance(mask: NDArray[np.bool_], spacing: tuple[float, float, float]) -> Floats:
    """Signed distance to the edge of `mask`; a mask without edge is far away."""
    if not mask.any():
        return np.full(mask.shape, REACH_MM, np.float32)
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing)
    inside = ndimage.distance_transform_edt(mask, sampling=spacing)
    return np.asarray(np.clip(outside - inside, -REACH_MM * 4, REACH_MM * 2), dtype=np.float32)


def _as_kits19(image: Any) -> tuple[NDArray[Any], tuple[float, float, float]]:
    """Labels and spacing in KiTS19's axes, whatever the file's own orientation.

    Raises:
        ValueError: If the file is not a volume.
    """
    if len(image.shape) != 3:
        raise ValueError(f"expected a volume with three axes, got shape {image.shape}")
    if nib.aff2axcodes(image.affine) != ("I", "P", "L"):
        now, wanted = nib.io_orientation(image.affine), nib.orientations.axcodes2ornt("IPL")
        image = image.as_reoriented(nib.orientations.ornt_transform(now, wanted))
    thickness, row, column = (float(s) for s in image.header.get_zooms()[:3])
    return np.asarray(image.dataobj), (thickness, row, column)


def read_label_map(path: Path) -> RealLabels:
    """Reads a KiTS19 segmentation as signed distances at half its in-plane resolution.

    Distances interpolate between thick slices as shapes do, where labels would give stairs.

    Raises:
        TrainingDataError: If the file cannot be read or holds no kidney.
    """
    try:
        image = nib.load(path)
        native, spacing = _as_kits19(image)
    except (OSError, EOFError, ValueError, nib.filebasedimages.ImageFileError) as error:
        raise TrainingDataError(f"Cannot read the label map {path}: {error}") from error
    rows, columns = (np.flatnonzero(native.any(axis=(0, k))) for k in (2, 1))
    slices = np.flatnonzero(native.any(axis=(1, 2)))
    if not len(slices):
        raise TrainingDataError(f"{path} holds no kidney label; expected 1 (kidney) and 2 (tumor).")
    margins = [int(np.ceil(14 / s)) for s in spacing]
    low = [max(0, int(found[0]) - m) for found, m in zip((slices, rows, columns), margins, strict=True)]
    high = [
        min(n, int(found[-1]) + 1 + m)
        for found, m, n in zip((slices, rows, columns), margins, native.shape, strict=True)
    ]
    step = (max(1, round(1.6 / spacing[0])), 2, 2)
    crop = native[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    crop = crop[: crop.shape[0] // step[0] * step[0], : crop.shape[1] // 2 * 2, : crop.shape[2] // 2 * 2]
    blocks = crop.reshape(
        crop.shape[0] // step[0], step[0], crop.shape[1] // 2, 2, crop.shape[2] // 2, 2
    )  # fmt: skip
    kidney = (blocks > 0).mean(axis=(1, 3, 5)) >= 0.5
    tumor = (blocks == 2).mean(axis=(1, 3, 5)) >= 0.5
    coarse = (spacing[0] * step[0], spacing[1] * 2, spacing[2] * 2)
    center = np.array(
        [(a + 0.5 * n - 0.5 * full) * s for a, n, full, s in zip(low, crop.shape, native.shape, spacing, strict=True)]
    )
    return RealLabels(
        kidney=_signed_distance(kidney, coarse),
        tumor=_signed_distance(tumor, coarse),
        spacing=coarse,
        center=center,
        px=spacing[2],
    )


def deform_labels(
    labels: RealLabels, rng: np.random.Generator, yaw: float, scale: float, mirror: bool, spacing_mm: float = 2.0
) -> Shapes:
    """Rotated, scaled, mirrored and elastically bent copy of real shapes, centered on their own kidneys.

    Args:
        labels: Real shapes.
        rng: Source of randomness.
        yaw: Rotation in the axial plane in radians.
        scale: Size relative to the real one.
        mirror: Whether left and right are exchanged.
        spacing_mm: Spacing of the result.
    """
    size = np.array(labels.kidney.shape) * labels.spacing * scale
    size[1:] += abs(np.sin(yaw)) * size[[2, 1]]
    shape = tuple(int(np.ceil(s / spacing_mm)) + 4 for s in size)
    origin = -(np.array(shape) - 1) / 2 * spacing_mm
    grid = Grid(shape, (spacing_mm,) * 3)  # type: ignore[arg-type]
    turn = rotation_matrix(-yaw) / scale
    z, y, x = grid.axes
    bend = [smooth_noise(rng, grid.shape, grid.spacing, 60.0) for _ in range(3)]
    strength = rng.uniform(0, 2.2)
    points = np.empty((*shape, 3), np.float32)
    half = [max(n * s, 1e-3) / 2 for n, s in zip(labels.kidney.shape, labels.spacing, strict=True)]
    for k in range(3):
        place = (turn[k, 0] * z)[:, None, None] + (turn[k, 1] * y)[None, :, None] + (turn[k, 2] * x)[None, None, :]
        place = (place + strength * bend[k]) / half[k]
        points[..., 2 - k] = -place if (mirror and k == 2) else place
    stack = torch.from_numpy(np.stack([labels.kidney, labels.tumor]))[None]
    bent = functional.grid_sample(
        stack, torch.from_numpy(points)[None], mode="bilinear", padding_mode="border", align_corners=False
    )
    fields = bent[0].numpy() * np.float32(scale)
    smooth = [ndimage.gaussian_filter1d(f, 0.35 * labels.spacing[0] / spacing_mm, axis=0) for f in fields]
    return Shapes(origin, grid.spacing, smooth[0], smooth[1])


def ellipsoid_distance(
    coordinates: tuple[Floats, Floats, Floats],
    center: NDArray[np.floating],
    radii: NDArray[np.floating],
    turn: NDArray[np.floating],
) -> Floats:
    """Distance in mm along the ray from the center to an ellipsoid's surface (negative inside)."""
    z, y, x = (c - np.float32(m) for c, m in zip(coordinates, center, strict=True))
    form = (turn @ np.diag(np.asarray(radii, float) ** -2.0) @ turn.T).astype(np.float32)
    gauge = form[0, 0] * z * z + form[1, 1] * y * y + form[2, 2] * x * x
    gauge = gauge + 2 * (form[0, 1] * z * y + form[0, 2] * z * x + form[1, 2] * y * x)
    gauge = np.sqrt(np.maximum(gauge, 1e-6))
    return np.asarray(np.sqrt(z * z + y * y + x * x) * (1 - 1 / gauge), dtype=np.float32)


def procedural_kidneys(rng: np.random.Generator, sides: tuple[int, ...]) -> Shapes:
    """Two kidneys (or one) around the origin, with a sinus open toward the spine.

    Args:
        rng: Source of randomness.
        sides: -1 for the right kidney, 1 for the left one.
    """
    spacing = (2.0, 2.0, 2.0)
    grid = Grid((112, 80, 140), spacing)
    coordinates = (grid.axes[0][:, None, None], grid.axes[1][None, :, None], grid.axes[2][None, None, :])
    noise = smooth_noise(rng, grid.shape, spacing, 30.0)
    fine = smooth_noise(rng, grid.shape, spacing, 11.0)
    distance = np.full(grid.shape, REACH_MM * 2, np.float32)
    gap = rng.uniform(50, 82)
    for side in sides:
        size = rng.uniform(0.78, 1.22)
        radii = size * np.array([rng.uniform(46, 60), rng.uniform(22, 31), rng.uniform(24, 32)])
        center = np.array([rng.uniform(-14, 14), rng.uniform(-8, 8), side * (gap + rng.uniform(-6, 6))])
        lean = rng.uniform(-0.05, 0.35)
        # A kidney's front looks outward and its upper pole lies toward the spine.
        turn = rotation_matrix(side * rng.uniform(0.1, 0.9), rng.uniform(-0.25, 0.1), -side * lean)
        kidney = ellipsoid_distance(coordinates, center, radii, turn) + rng.uniform(0.8, 2.6) * noise
        hilum = center + turn @ (radii * np.array([0.0, -0.15, -side * rng.uniform(0.45, 0.8)]))
        opening = radii * np.array([rng.uniform(0.35, 0.6), rng.uniform(0.25, 0.45), rng.uniform(0.45, 0.75)])
        sinus = ellipsoid_distance(coordinates, hilum, opening, turn) + rng.uniform(1.0, 3.0) * fine
        distance = np.minimum(distance, np.maximum(kidney, -sinus))
    origin = -(np.array(grid.shape) - 1) / 2 * np.array(spacing)
    return Shapes(origin, spacing, distance, np.full(grid.shape, REACH_MM * 2, np.float32))


def hull_depth(shapes: Shapes, closing_mm: float) -> Floats:
    """Depth in mm below the surface of the kidney's hull, its sinus filled (negative outside).

    A closing by distance: everything within `closing_mm` of the kidney, minus what lies as close to the outside.
    """
    near = shapes.kidney < closing_mm
    depth = np.full(near.shape, -closing_mm, np.float32)
    if near.any():
        box = ndimage.find_objects(near.astype(np.uint8))[0]
        inside = ndimage.distance_transform_edt(np.pad(near[box], 1), sampling=shapes.spacing)
        depth[box] += inside[1:-1, 1:-1, 1:-1].astype(np.float32)
    return depth
