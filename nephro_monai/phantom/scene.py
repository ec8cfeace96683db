"""Field of view, kidneys and tumors of a case, in the scan's mm coordinates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nephro_monai.phantom.canvas import Grid, rotation_matrix, smooth_noise
from nephro_monai.phantom.config import PhantomConfig, Special
from nephro_monai.phantom.healthy import without_tumors
from nephro_monai.phantom.layout import find_spine
from nephro_monai.phantom.plan import Plan
from nephro_monai.phantom.shapes import (
    REACH_MM,
    Shapes,
    deform_labels,
    ellipsoid_distance,
    procedural_kidneys,
    read_label_map,
)
from nephro_monai.phantom.tumors import add_mass

__all__ = ["Scene", "build_scene"]


@dataclass(frozen=True)
class Scene:
    """What `build_scene` decides.

    Attributes:
        grid: The scan's grid.
        shapes: Kidneys and tumors in the scan's mm coordinates.
        spine: (z, y, x) of the vertebra's center in mm.
        yaw: Rotation of the body in radians.
        special: The unusual finding that could be built in; "ordinary" where the kidneys did not allow the planned one.
    """

    grid: Grid
    shapes: Shapes
    spine: NDArray[np.float64]
    yaw: float
    special: Special


def build_scene(config: PhantomConfig, plan: Plan, rng: np.random.Generator) -> Scene:
    """Draws the geometry: deform first, everything else is painted around it."""
    yaw = float(np.radians(rng.normal(0, 4.5)))
    scale = float(rng.uniform(0.86, 1.16))
    if config.label_map is not None:
        labels = read_label_map(config.label_map)
        mirror = bool(rng.uniform() < 0.5)
        shapes = deform_labels(labels, rng, yaw, scale, mirror)
        center = labels.center * scale * np.array([1, 1, -1 if mirror else 1])
        center = rotation_matrix(yaw) @ center
        center[1:] += rng.uniform(-14, 14, 2)
        center[0] = 0
        shapes = replace(shapes, origin=shapes.origin + center)
        fov = 512 * labels.px
    else:
        shapes = procedural_kidneys(rng, (-1, 1))
        offset = np.array([0, rng.uniform(-15, 35), rng.uniform(-15, 15)])
        shapes = replace(shapes, origin=shapes.origin + offset)
        fov = 512 * float(rng.uniform(*config.parameters.scan["pixel_mm"]))
    spine = find_spine(shapes, rng, yaw, expected_x=0.0 if config.label_map else float(offset[2]))
    if plan.subtype is None or plan.replace:
        shapes = without_tumors(shapes, spine, rng)
    shapes, special = _with_specials(shapes, plan, spine, rng)
    shapes = _with_tumors(shapes, plan, spine, rng)
    if config.field_of_view == "abdomen":
        grid, shift = _field_of_view(config, shapes, fov, rng)
    else:
        grid, shift = _close_field_of_view(config, shapes, fov, rng)
    shapes = replace(shapes, origin=shapes.origin + shift)
    return Scene(grid, shapes, spine + shift, yaw, special)


def _with_specials(shapes: Shapes, plan: Plan, spine: NDArray, rng: np.random.Generator) -> tuple[Shapes, Special]:
    """Removes or joins kidneys as planned, and says whether that worked."""
    x = shapes.coordinates[2]
    if plan.special == "one_kidney":
        kept = -1 if rng.uniform() < 0.5 else 1
        if plan.subtype is not None and (shapes.tumor < 0).any():
            tumor_x = x[0, 0][np.nonzero(shapes.tumor < 0)[2]]
            kept = 1 if np.median(tumor_x) > spine[2] else -1
        lost = np.broadcast_to((x - spine[2]) * kept < 0, shapes.kidney.shape)
        far = np.float32(2 * REACH_MM)
        kidney = np.where(lost, np.maximum(shapes.kidney, far), shapes.kidney)
        if (kidney < 0).any():
            return shapes.with_fields(kidney, np.where(lost, far, shapes.tumor)), plan.special
        return shapes, "ordinary"
    if plan.special == "touching_kidneys":
        low = []
        for side in (-1, 1):
            own = np.argwhere((shapes.kidney < 0) & ((x - spine[2]) * side > 0))
            if not len(own):
                return shapes, "ordinary"
            pole = own[own[:, 0] >= np.quantile(own[:, 0], 0.8)].mean(axis=0)
            low.append(shapes.origin + pole * np.array(shapes.spacing))
        bridge = _bridge(shapes, low[0], low[1], spine, rng)
        return shapes.with_fields(np.minimum(shapes.kidney, bridge), shapes.tumor), plan.special
    return shapes, plan.special


def _bridge(
    shapes: Shapes, start: NDArray, end: NDArray, spine: NDArray, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Parenchyma in front of the spine that joins two lower poles."""
    middle = np.array([0.5 * (start[0] + end[0]) + 6, spine[1] - 36, spine[2]])
    radius = rng.uniform(9, 15)
    distance = np.full(shapes.kidney.shape, 2 * REACH_MM, np.float32)
    for t in np.linspace(0, 1, 15):
        point = (1 - t) ** 2 * start + 2 * t * (1 - t) * (2 * middle - 0.5 * (start + end)) + t**2 * end
        ball = ellipsoid_distance(shapes.coordinates, point, np.full(3, radius), np.eye(3))
        distance = np.minimum(distance, ball)
    noise = smooth_noise(rng, shapes.kidney.shape, shapes.spacing, 25.0)
    return np.asarray(distance + noise, dtype=np.float32)


def _with_tumors(shapes: Shapes, plan: Plan, spine: NDArray, rng: np.random.Generator) -> Shapes:
    """Keeps or adds tumors as planned."""
    if plan.subtype is None:
        return shapes
    if not (shapes.tumor < 0).any():
        shapes = add_mass(shapes, rng, plan.diameter_mm, spine)
    if plan.extra_mm:
        shapes = add_mass(shapes, rng, plan.extra_mm, spine)
    return shapes


def _draw_thickness(config: PhantomConfig, rng: np.random.Generator) -> float:
    """Slice thickness in mm, by KiTS19's shares."""
    shares = config.parameters.scan["slice_thickness_mm_shares"]
    return float(rng.choice([float(text) for text in shares], p=list(shares.values())))


def _field_of_view(
    config: PhantomConfig, shapes: Shapes, fov_mm: float, rng: np.random.Generator
) -> tuple[Grid, NDArray[np.float64]]:
    """The scan's grid, and by how much everything moves so that its middle is the origin."""
    labeled = np.flatnonzero((shapes.kidney < 0).any(axis=(1, 2)))
    top = float(shapes.origin[0] + labeled[0] * shapes.spacing[0]) - rng.uniform(15, 115)
    bottom = float(shapes.origin[0] + labeled[-1] * shapes.spacing[0]) + rng.uniform(15, 130)
    if config.shape is None:
        thickness = _draw_thickness(config, rng)
        slices = int(np.clip(round((bottom - top) / thickness), 29, 320))
        shape = (slices, 512, 512)
    else:
        shape = config.shape
        thickness = float(np.clip((bottom - top) / shape[0], 0.5, 5.0))
    in_plane = float(np.clip(round(fov_mm / shape[2], 5), 0.05, 20))
    thickness = round(thickness, 4)
    center = 0.5 * (top + bottom)
    if thickness * shape[0] < bottom - top:
        center = shapes.origin[0] + 0.5 * (labeled[0] + labeled[-1]) * shapes.spacing[0]
    return Grid(shape, (thickness, in_plane, in_plane)), np.array([-center, 0.0, 0.0])


def _close_field_of_view(
    config: PhantomConfig, shapes: Shapes, fov_mm: float, rng: np.random.Generator
) -> tuple[Grid, NDArray[np.float64]]:
    """As `_field_of_view`, of the surroundings of the tumors or kidneys (kidneys where no tumor could be placed)."""
    tumors = config.field_of_view == "tumors" and bool((shapes.tumor < 0).any())
    shown = shapes.tumor < 0 if tumors else shapes.kidney < 0
    margin, least = (np.array([10.0, 25.0, 25.0]), np.array([0.0, 75.0, 75.0])) if tumors else (45.0, 0.0)
    ends = [np.flatnonzero(shown.any(axis=tuple({0, 1, 2} - {axis})))[[0, -1]] for axis in range(3)]
    low, high = shapes.origin + np.array(ends).T * np.array(shapes.spacing)
    reach = np.maximum(0.5 * (high - low) + margin, least)
    thickness = _draw_thickness(config, rng)
    in_plane = float(round(fov_mm / 512, 5))
    spacing = (thickness, in_plane, in_plane)
    slices, rows, columns = (int(np.ceil(2 * r / s)) for r, s in zip(reach, spacing, strict=True))
    return Grid((slices, rows, columns), spacing), -0.5 * (low + high)
