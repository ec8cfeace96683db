"""The organs around the kidneys, above all those that look like one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nephro_monai.phantom.canvas import Canvas, rotation_matrix
from nephro_monai.phantom.layout import Layout
from nephro_monai.phantom.tissues import Tissue

__all__ = ["paint_organs"]

_CAVITY = (Tissue.VISCERAL_FAT, Tissue.LUNG)


def paint_organs(canvas: Canvas, layout: Layout) -> None:
    """Paints vessels first (they hold their place), then solid organs, stomach and bowel into what is left."""
    _great_vessels(canvas, layout)
    _liver(canvas, layout)
    _spleen(canvas, layout)
    _adrenals(canvas, layout)
    _stomach(canvas, layout)
    _pancreas(canvas, layout)
    _colon(canvas, layout)
    _small_bowel(canvas, layout)
    _mesentery(canvas, layout)


def _blob(
    canvas: Canvas, layout: Layout, center: tuple[float, float, float], radii: tuple[float, float, float],
    tissue: Tissue, irregular: float = 0.2, over: tuple[Tissue, ...] | None = (Tissue.VISCERAL_FAT,),
) -> None:  # fmt: skip
    """Irregular ellipsoid at body coordinates (w, v, u)."""
    rng = canvas.rng
    turn = layout.turn @ rotation_matrix(rng.uniform(-0.4, 0.4), rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3))
    found = canvas.ellipsoid(layout.place(*center), np.array(radii), turn, irregular, 0.25 * irregular)
    if found is not None:
        canvas.paint(found[0], found[1] < 1, tissue, over)


def _tube(
    canvas: Canvas, layout: Layout, points: NDArray[np.floating], radii: NDArray[np.floating], tissue: Tissue,
    over: tuple[Tissue, ...] | None = (Tissue.VISCERAL_FAT,),
) -> None:  # fmt: skip
    """Tube through body points (w, v, u)."""
    found = canvas.tube(layout.places(points), radii)
    if found is not None:
        canvas.paint(found[0], found[1] < 0, tissue, over)


def _great_vessels(canvas: Canvas, layout: Layout) -> None:
    rng = canvas.rng
    half_v = layout.vertebra[0]
    soft = (Tissue.VISCERAL_FAT, Tissue.MUSCLE)
    w = np.arange(-260.0, 110.0, 12.0)
    radius = rng.uniform(8, 12.5) if rng.uniform() < 0.93 else rng.uniform(14, 24)
    ahead = half_v + radius + rng.uniform(1, 6)
    aorta = np.stack([w, -ahead + 3 * np.sin(w / 50), rng.uniform(0, 13) + 4 * np.sin(w / 70 + 1)], axis=1)
    _tube(canvas, layout, aorta, np.full(len(w), radius), Tissue.AORTA, soft)
    cava_u = -rng.uniform(15, 26)
    cava = np.stack([w, np.minimum(-ahead + 3, -ahead - 3 - 0.1 * (w + 30)), cava_u + 3 * np.sin(w / 60)], axis=1)
    cava[w < -60, 1] -= 0.12 * (-60 - w[w < -60])
    _tube(canvas, layout, cava, rng.uniform(8, 13) * (1 + 0.12 * np.sin(w / 25)), Tissue.VENA_CAVA, soft)
    for side in (-1, 1):
        down = np.array([[100, -ahead, 4.0], [140, -ahead - 8, side * 30], [190, -ahead + 10, side * 62.0]])
        _tube(canvas, layout, down, np.array([6.5, 6, 5.5]), Tissue.ARTERY, soft)
        down = down + np.array([0, 14.0, -8.0])
        _tube(canvas, layout, down, np.array([8, 7.5, 6.5]), Tissue.VEIN, soft)
    superior = np.array([[-35, -ahead - 8, 5.0], [-5, -ahead - 22, 3.0], [60, -ahead - 34, 0.0]])
    _tube(canvas, layout, superior, np.array([4, 3.6, 3.0]), Tissue.ARTERY, soft)
    _tube(canvas, layout, superior + np.array([5, -2, -14.0]), np.array([6, 6, 4.5]), Tissue.PORTAL_VEIN, soft)
    celiac = np.array([[-50, -ahead - 8, 5.0], [-53, -ahead - 22, 8.0], [-60, -ahead - 20, 40.0], [-65, 0, 80.0]])
    _tube(canvas, layout, celiac, np.array([4, 3.5, 3.0, 2.5]), Tissue.ARTERY, soft)
    if rng.uniform() < 0.45:
        _calcified_aorta(canvas, layout, aorta, radius)


def _calcified_aorta(canvas: Canvas, layout: Layout, aorta: NDArray, radius: float) -> None:
    rng = canvas.rng
    for _ in range(int(rng.integers(3, 14))):
        at = aorta[int(rng.integers(10, len(aorta)))]
        angle = rng.uniform(0, 6.28)
        spot = at + np.array([0, radius * np.cos(angle), radius * np.sin(angle)])
        found = canvas.ellipsoid(layout.place(*spot), rng.uniform(1.2, 3.2, 3) * [2, 1, 1])
        if found is not None:
            canvas.paint(found[0], found[1] < 1, Tissue.VASCULAR_CALCIFICATION, (Tissue.AORTA, Tissue.VISCERAL_FAT))


def _liver(canvas: Canvas, layout: Layout) -> None:
    rng, cavity = canvas.rng, layout.cavity
    size = rng.uniform(0.8, 1.2)
    lower = rng.uniform(-25, 45)
    height = rng.uniform(85, 120) * size
    front = cavity.v - rng.uniform(-0.05, 0.3) * cavity.half_v
    right = (lower - height, front, -rng.uniform(0.5, 0.68) * cavity.half_u)
    radii = (height, rng.uniform(0.75, 1.0) * cavity.half_v * size, rng.uniform(0.5, 0.72) * cavity.half_u)
    _blob(canvas, layout, right, radii, Tissue.LIVER, rng.uniform(0.12, 0.32), _CAVITY)
    left = (lower - height - 25, cavity.v - rng.uniform(0.35, 0.6) * cavity.half_v, rng.uniform(-25, 30))
    reach = (rng.uniform(45, 75), rng.uniform(28, 50), rng.uniform(60, 100))
    _blob(canvas, layout, left, reach, Tissue.LIVER, 0.35, _CAVITY)
    for vein in range(int(rng.integers(5, 12))):
        start = np.array([right[0] + rng.uniform(-30, 35), rng.uniform(-40, 0) + front * 0.3, -25.0])
        tip = np.array(right) + rng.uniform(-0.7, 0.7, 3) * np.array(radii)
        bend = 0.5 * (start + tip) + rng.normal(0, 12, 3)
        tissue = Tissue.PORTAL_VEIN if vein % 3 else Tissue.VEIN
        _tube(canvas, layout, np.stack([start, bend, tip]), np.array([5.0, 3.2, 1.6]), tissue, (Tissue.LIVER,))
    for _ in range(int(rng.integers(0, 4)) if rng.uniform() < 0.25 else 0):
        spot = np.array(right) + rng.uniform(-0.6, 0.6, 3) * np.array(radii)
        radius = rng.uniform(3, 16)
        _blob(canvas, layout, tuple(spot), (radius,) * 3, Tissue.GALLBLADDER, 0.1, (Tissue.LIVER,))
    if rng.uniform() < 0.75:
        spot = (lower - rng.uniform(15, 45), front - rng.uniform(10, 40), -rng.uniform(40, 70))
        reach = (rng.uniform(20, 38), rng.uniform(13, 22), rng.uniform(11, 19))
        _blob(canvas, layout, spot, reach, Tissue.GALLBLADDER, 0.1, (Tissue.LIVER, Tissue.VISCERAL_FAT))


def _spleen(canvas: Canvas, layout: Layout) -> None:
    rng, cavity = canvas.rng, layout.cavity
    if rng.uniform() < 0.03:
        return
    size = rng.uniform(0.75, 1.35)
    center = (-rng.uniform(35, 95), cavity.v + rng.uniform(0.1, 0.5) * cavity.half_v, 0.78 * cavity.half_u)
    radii = (rng.uniform(45, 68) * size, rng.uniform(38, 60) * size, rng.uniform(20, 36) * size)
    turn = layout.turn @ rotation_matrix(rng.uniform(-0.7, 0.1), rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3))
    found = canvas.ellipsoid(layout.place(*center), np.array(radii), turn, 0.25, 0.12)
    if found is None:
        return
    bounds, gauge = found
    canvas.paint(bounds, gauge < 1, Tissue.SPLEEN, _CAVITY)
    if rng.uniform() < 0.25:
        spot = (center[0] + rng.uniform(10, 60), center[1] - 30, center[2] - 30)
        _blob(canvas, layout, spot, (rng.uniform(4, 11),) * 3, Tissue.SPLEEN, 0.0)


def _adrenals(canvas: Canvas, layout: Layout) -> None:
    rng = canvas.rng
    for side in (-1, 1):
        top = np.array([-rng.uniform(45, 65), -rng.uniform(-6, 12), side * rng.uniform(32, 44)])
        for limb in (np.array([22.0, 14.0, side * 8.0]), np.array([22.0, 12.0, -side * 6.0])):
            points = np.stack([top, top + 0.5 * limb + rng.normal(0, 1, 3), top + limb])
            _tube(canvas, layout, points, rng.uniform(1.6, 3.2, 3), Tissue.ADRENAL)


def _hollow(
    canvas: Canvas, layout: Layout, points: NDArray[np.floating], radii: NDArray[np.floating],
    wall: float, kind: str,
) -> None:  # fmt: skip
    """Stomach or bowel: a wall around fluid, food, gas, contrast or feces, gas above fluid."""
    rng = canvas.rng
    found = canvas.tube(layout.places(points), radii, rng.uniform(0.5, 2.0))
    if found is None:
        return
    bounds, distance = found
    stomach = kind == "stomach"
    free = np.isin(canvas.tissue[bounds], _CAVITY)
    canvas.paint(bounds, distance < 0, Tissue.STOMACH_WALL if stomach else Tissue.BOWEL_WALL, _CAVITY)
    inside = free & (distance < -wall)
    if kind == "collapsed":
        return
    filled = {
        "stomach": Tissue.STOMACH_CONTENT, "fluid": Tissue.BOWEL_FLUID, "food": Tissue.BOWEL_FOOD,
        "contrast": Tissue.BOWEL_CONTRAST, "gas": Tissue.BOWEL_FLUID, "feces": Tissue.FECES,
    }[kind]  # fmt: skip
    view = canvas.tissue[bounds]
    view[inside] = filled
    if kind == "feces":
        view[inside & (canvas.ripple[bounds] + 0.5 * canvas.wobble[bounds] > rng.uniform(0.5, 1.5))] = Tissue.BOWEL_GAS
    elif kind in ("gas", "stomach") or rng.uniform() < 0.15:
        y = canvas.grid.axes[1][bounds[1]]
        level = np.quantile(y, rng.uniform(0.4, 1.0) if kind == "gas" else rng.uniform(0, 0.6))
        view[inside & (y < level)[None, :, None]] = Tissue.BOWEL_GAS


def _wander(rng: np.random.Generator, start: NDArray, steps: int, stride: float) -> NDArray[np.float64]:
    """A meandering path."""
    heading = rng.normal(0, 1, 3)
    points = [start]
    for _ in range(steps):
        heading = 0.6 * heading / np.linalg.norm(heading) + rng.normal(0, 0.5, 3)
        points.append(points[-1] + stride * heading)
    return np.stack(points)


def _stomach(canvas: Canvas, layout: Layout) -> None:
    rng, cavity = canvas.rng, layout.cavity
    front = cavity.v - 0.45 * cavity.half_v
    size = rng.uniform(0.6, 1.25)
    points = np.array(
        [
            [-120, cavity.v + 5, 0.42 * cavity.half_u],
            [-90, cavity.v - 12, 0.48 * cavity.half_u],
            [-50, front, 0.38 * cavity.half_u],
            [-28 + rng.uniform(-10, 25), front - 10, 0.1 * cavity.half_u],
            [-38, front + 5, -0.15 * cavity.half_u],
        ]
    )
    points += rng.normal(0, 8, 3)
    _hollow(canvas, layout, points, size * np.array([34, 38, 30, 22, 14.0]), rng.uniform(2.5, 6), "stomach")


def _pancreas(canvas: Canvas, layout: Layout) -> None:
    rng = canvas.rng
    ahead = layout.vertebra[0] + 38
    drop = rng.uniform(-25, 5)
    points = np.array(
        [[20, -ahead + 3, -38], [5, -ahead - 8, -28], [-8, -ahead - 14, 0], [-20, -ahead, 35], [-38, -ahead + 28, 75.0]]
    )
    points = points + np.array([drop, 0, 0]) + rng.normal(0, 4, points.shape)
    found = canvas.tube(layout.places(points), rng.uniform(0.7, 1.25) * np.array([13, 11, 8.5, 9.5, 9.0]), 3.0)
    if found is not None:
        canvas.paint(found[0], found[1] < 0, Tissue.PANCREAS)
    splenic = points[2:] + np.array([0, 11.0, 0])
    _tube(canvas, layout, splenic, np.full(3, 4.0), Tissue.PORTAL_VEIN)
    head = np.array([[-25, -ahead + 2, -48], [0, -ahead + 6, -55], [28, -ahead + 10, -50], [40, -ahead + 14, -15.0]])
    kind = str(rng.choice(["fluid", "food", "gas", "collapsed"]))
    _hollow(canvas, layout, head, rng.uniform(9, 15, 4), 2.5, kind)


def _colon(canvas: Canvas, layout: Layout) -> None:
    """Ascending, descending and transverse colon; the first two run beside the kidneys."""
    rng, cavity = canvas.rng, layout.cavity
    w = np.arange(-45.0, 170.0, 9.0)
    for side in (-1, 1):
        back = rng.uniform(-30, 25)
        where = side * rng.uniform(0.68, 0.86) * cavity.half_u
        top = rng.uniform(-45, 20) if side > 0 else rng.uniform(-5, 45)
        path = np.stack([w, back - 0.12 * w + rng.normal(0, 3, len(w)), where + rng.normal(0, 3, len(w))], axis=1)
        path = path[w > top]
        size = rng.uniform(10, 27) if side < 0 else rng.uniform(8, 22)
        kind = str(rng.choice(["feces", "gas", "fluid", "contrast", "collapsed"], p=[0.5, 0.2, 0.1, 0.08, 0.12]))
        radii = size * (1 + 0.16 * np.sin(w[w > top] / 6) + rng.normal(0, 0.05, len(path)))
        _hollow(canvas, layout, path, radii, rng.uniform(1.5, 3.0), kind)
    span = np.linspace(-0.7, 0.7, 20)
    sag = rng.uniform(25, 110)
    front = cavity.v - rng.uniform(0.55, 0.8) * cavity.half_v
    across = np.stack(
        [rng.uniform(-10, 25) + sag * (1 - (span / 0.7) ** 2), front + 25 * np.abs(span), span * cavity.half_u], axis=1
    )
    kind = str(rng.choice(["feces", "gas", "fluid", "contrast"], p=[0.4, 0.4, 0.12, 0.08]))
    radii = rng.uniform(13, 25) * (1 + 0.2 * np.sin(np.arange(20) * 1.7))
    _hollow(canvas, layout, across + rng.normal(0, 4, across.shape), radii, rng.uniform(1.5, 3.0), kind)


def _small_bowel(canvas: Canvas, layout: Layout) -> None:
    rng, cavity = canvas.rng, layout.cavity
    last = float(layout.w(canvas.grid)[-1])
    loops = int(rng.integers(8, 36) * np.clip((last + 60) / 130, 0.4, 2.0))
    oral = rng.uniform() < 0.2
    for _ in range(loops):
        radius = rng.uniform(7, 17)
        start = np.array(
            [
                rng.uniform(-40, max(last, 20) + 10),
                cavity.v + rng.uniform(-0.85, 0.15) * cavity.half_v,
                rng.uniform(-0.7, 0.75) * cavity.half_u,
            ]
        )
        path = _wander(rng, start, int(rng.integers(3, 9)), radius * 1.3)
        kinds, shares = ["fluid", "food", "gas", "collapsed", "contrast"], [0.38, 0.27, 0.1, 0.17, 0.08]
        kind = "contrast" if oral and rng.uniform() < 0.5 else str(rng.choice(kinds, p=shares))
        _hollow(canvas, layout, path, rng.uniform(0.8, 1.2, len(path)) * radius, rng.uniform(1.5, 3.5), kind)


def _mesentery(canvas: Canvas, layout: Layout) -> None:
    """Small vessels and nodes that dot the fat in front of the spine."""
    rng, cavity = canvas.rng, layout.cavity
    last = float(layout.w(canvas.grid)[-1])
    for _ in range(int(rng.integers(15, 45))):
        start = np.array(
            [
                rng.uniform(-60, last),
                cavity.v + rng.uniform(-0.7, 0.3) * cavity.half_v,
                rng.uniform(-0.7, 0.7) * cavity.half_u,
            ]
        )
        path = _wander(rng, start, int(rng.integers(2, 5)), rng.uniform(8, 18))
        tissue = Tissue.VEIN if rng.uniform() < 0.6 else Tissue.ARTERY
        _tube(canvas, layout, path, rng.uniform(1.0, 2.6, len(path)), tissue)
