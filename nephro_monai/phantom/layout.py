"""Where the body lies around its kidneys: spine, outlines, and the frame organs are placed in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nephro_monai.phantom.canvas import Grid, rotation_matrix
from nephro_monai.phantom.shapes import Shapes

__all__ = ["Layout", "Outline", "find_spine", "lay_out"]


@dataclass(frozen=True)
class Outline:
    """Superellipse in the body frame: center (v) and half axes in mm; `power` 2 is an ellipse."""

    v: float
    half_v: float
    half_u: float
    power: float

    def gauge(self, u: NDArray[np.floating], v: NDArray[np.floating]) -> NDArray[np.float32]:
        """Below 1 inside; u to the patient's left and v to posterior, in mm from the vertebra's center."""
        inside = (np.abs(u) / self.half_u) ** self.power + (np.abs(v - self.v) / self.half_v) ** self.power
        return np.asarray(inside, dtype=np.float32)

    def shrunk(self, front: float, back: float, side: float) -> Outline:
        """Outline inside this one by the given thicknesses in mm."""
        return Outline(
            v=self.v + (front - back) / 2,
            half_v=self.half_v - (front + back) / 2,
            half_u=self.half_u - side,
            power=self.power,
        )


@dataclass(frozen=True)
class Layout:
    """The body frame: u to the patient's left, v to posterior, w to inferior, mm from the spine at kidney height.

    Attributes:
        spine: (z, y, x) of the vertebra's center at the height of the kidneys.
        yaw: Rotation of the body in the axial plane in radians.
        skin: Body surface.
        fascia: Outside of the muscle wall.
        cavity: Inside of the muscle wall.
        waist: Relative body size per slice.
        vertebra: Half depth and half width of a vertebral body in mm.
    """

    spine: NDArray[np.float64]
    yaw: float
    skin: Outline
    fascia: Outline
    cavity: Outline
    waist: NDArray[np.float32]
    vertebra: tuple[float, float]

    @property
    def turn(self) -> NDArray[np.float64]:
        """Rotation from body to grid axes."""
        return rotation_matrix(self.yaw)

    def place(self, w: float, v: float, u: float) -> NDArray[np.float64]:
        """Grid coordinates (z, y, x) of a point of the body frame."""
        return np.asarray(self.spine + self.turn @ np.array([w, v, u]))

    def places(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Grid coordinates of (N, 3) body points in (w, v, u) order."""
        return np.asarray(self.spine + points @ self.turn.T)

    def plane(self, y: NDArray[np.floating], x: NDArray[np.floating]) -> tuple[NDArray, NDArray]:
        """Body coordinates (u, v) of grid rows and columns in mm."""
        dy, dx = y - self.spine[1], x - self.spine[2]
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        return cos * dx - sin * dy, cos * dy + sin * dx

    def w(self, grid: Grid) -> NDArray[np.float32]:
        """Height of every slice below the kidneys' center, mm."""
        return np.asarray(grid.axes[0] - self.spine[0], dtype=np.float32)


def _labeled_points(shapes: Shapes, kidney_only: bool) -> NDArray[np.float64]:
    """Coordinates (z, y, x) in mm of a sample of the labeled voxels."""
    inside = shapes.kidney < 0
    if kidney_only and (inside & (shapes.tumor > 0)).any():
        inside = inside & (shapes.tumor > 0)
    index = np.argwhere(inside[::2, ::2, ::2]) * 2
    return np.asarray(shapes.origin + index * np.array(shapes.spacing))


def find_spine(shapes: Shapes, rng: np.random.Generator, yaw: float, expected_x: float) -> NDArray[np.float64]:
    """Center of the vertebra that fits between the kidneys.

    Args:
        shapes: Kidneys in grid coordinates.
        rng: Source of randomness.
        yaw: Rotation of the body.
        expected_x: Where the patient's middle should be if the kidneys leave the choice, mm.
    """
    points = _labeled_points(shapes, kidney_only=True)
    if not len(points):
        return np.array([0.0, 40.0, expected_x])
    middle = points.mean(axis=0)
    turned = points @ rotation_matrix(yaw)
    expected = float((np.array([middle[0], middle[1], expected_x]) @ rotation_matrix(yaw))[2])
    offsets = np.arange(-36.0, 37.0, 4.0)
    room = [np.quantile(np.abs(turned[:, 2] - expected - o), 0.03) - 0.25 * abs(o) for o in offsets]
    u = expected + float(offsets[int(np.argmax(room))])
    forward = rng.uniform(-6, 20) if rng.uniform() < 0.7 else rng.uniform(15, 42)
    v = float(np.median(turned[:, 1])) + forward
    w = float(0.5 * (turned[:, 0].min() + turned[:, 0].max()))
    return np.asarray(rotation_matrix(yaw) @ np.array([w, v, u]))


def lay_out(shapes: Shapes, spine: NDArray[np.float64], yaw: float, grid: Grid, rng: np.random.Generator) -> Layout:
    """Draws a body that holds the kidneys: wider ranges than life, then grown until everything fits."""
    points = (_labeled_points(shapes, kidney_only=False) - spine) @ rotation_matrix(yaw)
    obese = rng.uniform() < 0.42
    fat = rng.uniform(18, 48) if obese else rng.uniform(4, 24)
    front, back, side = fat * rng.uniform(0.6, 1.3), fat * rng.uniform(0.5, 1.2), fat * rng.uniform(0.5, 1.0)
    wall_front, wall_back, wall_side = rng.uniform(5, 13), rng.uniform(8, 22), rng.uniform(6, 20)
    depth = rng.uniform(245, 335) if obese else rng.uniform(195, 280)
    width = depth * rng.uniform(1.22, 1.58)
    behind = rng.uniform(58, 84) + 0.6 * back
    power = rng.uniform(2.1, 2.9)
    waist_phase, waist_size = rng.uniform(0, 6.28), rng.uniform(0.0, 0.06)
    z = grid.axes[0] - spine[0]
    waist = 1 + waist_size * np.sin(z / rng.uniform(70, 130) + waist_phase) + rng.uniform(-0.03, 0.06) * z / 150
    waist = np.clip(waist, 0.86, 1.2).astype(np.float32)
    for _ in range(40):
        skin = Outline(behind - depth / 2, depth / 2, width / 2, power)
        fascia = skin.shrunk(front, back, side)
        cavity = fascia.shrunk(wall_front, wall_back, wall_side)
        if not len(points):
            break
        gauge = cavity.gauge(points[:, 2], points[:, 1])
        outside = gauge > 0.9
        if outside.mean() < 0.004:
            break
        if np.median(points[outside, 1]) > 10:
            behind += 2
        width, depth = width + 5, depth + 3
    vertebra = (rng.uniform(13.5, 19), rng.uniform(18.5, 27))
    return Layout(spine, yaw, skin, fascia, cavity, waist, vertebra)
