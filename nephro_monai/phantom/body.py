"""Body wall, spine and its muscles, ribs, pelvis, lungs and table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nephro_monai.phantom.canvas import Bounds, Canvas, rotation_matrix
from nephro_monai.phantom.layout import Layout, Outline
from nephro_monai.phantom.tissues import Tissue

__all__ = ["paint_body"]

_FAT = (Tissue.VISCERAL_FAT,)
_SOFT = (Tissue.VISCERAL_FAT, Tissue.MUSCLE, Tissue.SUBCUTANEOUS_FAT)


def paint_body(canvas: Canvas, layout: Layout) -> None:
    """Paints everything that frames the abdomen's organs."""
    _wall(canvas, layout)
    _lungs(canvas, layout)
    _back_muscles(canvas, layout)
    _spine(canvas, layout)
    _ribs(canvas, layout)
    _pelvis(canvas, layout)
    if canvas.rng.uniform() < 0.6:
        _table(canvas, layout)


def _plane(canvas: Canvas, layout: Layout) -> tuple[NDArray, NDArray]:
    _, y, x = canvas.grid.axes
    return layout.plane(y[:, None], x[None, :])


def _inside(canvas: Canvas, layout: Layout, outline: Outline, wobble: float) -> NDArray[np.bool_]:
    """Voxels inside an outline whose size follows the waist."""
    u, v = _plane(canvas, layout)
    gauge = outline.gauge(u, v)[None] * (layout.waist ** -np.float32(outline.power))[:, None, None]
    gauge += np.float32(wobble) * canvas.wobble
    return gauge < 1


def _wall(canvas: Canvas, layout: Layout) -> None:
    rng, tissue = canvas.rng, canvas.tissue
    wobble = rng.uniform(0.01, 0.045)
    body = _inside(canvas, layout, layout.skin, wobble)
    tissue[body] = Tissue.SKIN
    thickness = rng.uniform(1.2, 2.6)
    tissue[_inside(canvas, layout, layout.skin.shrunk(thickness, thickness, thickness), wobble)] = (
        Tissue.SUBCUTANEOUS_FAT
    )
    muscle = _inside(canvas, layout, layout.fascia, wobble * 1.2)
    muscle &= body
    tissue[muscle] = Tissue.MUSCLE
    if rng.uniform() < 0.75:
        striated = np.abs(canvas.ripple) < rng.uniform(0.03, 0.16)
        striated &= muscle
        tissue[striated] = Tissue.SUBCUTANEOUS_FAT
    tissue[_inside(canvas, layout, layout.cavity, wobble * 1.2)] = Tissue.VISCERAL_FAT
    tissue[~body] = Tissue.AIR


def _column(canvas: Canvas, layout: Layout, half_u: float, front: float, back: float) -> Bounds | None:
    """Index box around the spine over all slices: u within `half_u`, v from -front to back."""
    corners = np.array([layout.place(0, v, u) for v in (-front, back) for u in (-half_u, half_u)])
    low, high = corners.min(0), corners.max(0)
    low[0], high[0] = -1e6, 1e6
    return canvas.grid.bounds(low, high)


def _local(canvas: Canvas, layout: Layout, bounds: Bounds) -> tuple[NDArray, NDArray, NDArray]:
    """Broadcastable (w, v, u) of an index box."""
    z, y, x = (a[b] for a, b in zip(canvas.grid.axes, bounds, strict=True))
    u, v = layout.plane(y[:, None], x[None, :])
    w = (z - layout.spine[0]).astype(np.float32)
    return w[:, None, None], v[None].astype(np.float32), u[None].astype(np.float32)


def _lungs(canvas: Canvas, layout: Layout) -> None:
    """Lung above a dome-shaped diaphragm, lowest at the back; the heart rests on it."""
    rng = canvas.rng
    w = layout.w(canvas.grid)
    dome, recess = rng.uniform(-150, -95), rng.uniform(40, 95)
    top = np.flatnonzero(w < dome + recess)
    if not len(top):
        return
    stop = int(top[-1]) + 1
    u, v = _plane(canvas, layout)
    cavity = layout.cavity.gauge(u, v)
    depth = np.clip(cavity, 0, 1) ** 1.5 * recess * np.clip(0.62 + v / 170, 0.15, 1)
    lung = (w[:stop, None, None] - 6 * canvas.wobble[:stop]) < (dome + depth)[None]
    lung &= canvas.tissue[:stop] == Tissue.VISCERAL_FAT
    mediastinum = ((u / 36) ** 2 + ((v + 45) / 68) ** 2).astype(np.float32)
    lung &= mediastinum[None] + 0.3 * canvas.wobble[:stop] > 1
    canvas.tissue[:stop][lung] = Tissue.LUNG
    heart = layout.place(dome - 20, layout.cavity.v - 0.35 * layout.cavity.half_v, 25)
    if (found := canvas.ellipsoid(heart, np.array([45, 45, 60.0]), None, 0.15)) is not None:
        bounds, gauge = found
        canvas.paint(bounds, gauge < 1, Tissue.HEART, (Tissue.VISCERAL_FAT, Tissue.LUNG))


def _back_muscles(canvas: Canvas, layout: Layout) -> None:
    rng = canvas.rng
    half_v, half_u = layout.vertebra
    bounds = _column(canvas, layout, half_u + 85, 50, half_v + 90)
    if bounds is None:
        return
    w, v, u = _local(canvas, layout, bounds)
    ripple = canvas.ripple[bounds]
    across, along = rng.uniform(18, 29), rng.uniform(15, 24)
    paraspinal = ((np.abs(u) - across - 3) / across) ** 2 + ((v - half_v - 27) / along) ** 2
    canvas.paint(bounds, paraspinal + 0.10 * ripple < 1, Tissue.MUSCLE, _SOFT)
    slim = rng.uniform(0.7, 1.25)
    radius = np.clip(10 + (w + 20) * 0.12, 3.5, 27) * slim
    psoas = ((np.abs(u) - half_u - 0.72 * radius) / radius) ** 2 + ((v - 1 - 0.1 * radius) / (1.15 * radius)) ** 2
    canvas.paint(bounds, psoas + 0.08 * ripple < 1, Tissue.MUSCLE, _SOFT)
    out, thick = rng.uniform(34, 46), rng.uniform(5, 9)
    lumborum = ((np.abs(u) - half_u - out) / 21) ** 2 + ((v - half_v - 7 - 0.1 * np.abs(u)) / thick) ** 2
    canvas.paint(bounds, (lumborum + 0.1 * ripple < 1) & (w > -30), Tissue.MUSCLE, _SOFT)
    crus = ((np.abs(u) - rng.uniform(11, 15)) / 6) ** 2 + ((v + half_v + rng.uniform(2, 7)) / 9) ** 2
    canvas.paint(bounds, (crus < 1) & (w < rng.uniform(-25, 25)), Tissue.MUSCLE, _SOFT)


def _spine(canvas: Canvas, layout: Layout) -> None:
    rng = canvas.rng
    half_v, half_u = layout.vertebra
    bounds = _column(canvas, layout, half_u + 42, half_v + 12, half_v + 75)
    if bounds is None:
        return
    w, v, u = _local(canvas, layout, bounds)
    bow = np.float32(rng.uniform(0, 6)) * np.sin(w / np.float32(rng.uniform(60, 120)) + np.float32(rng.uniform(0, 6)))
    v, u = v - bow, u - bow * np.float32(rng.uniform(-0.6, 0.6))
    pitch, gap = rng.uniform(31, 40), rng.uniform(6, 11)
    phase = np.mod(w + rng.uniform(0, 40), pitch)
    disc = phase < gap
    middle = np.cos(2 * np.pi * (phase - gap) / (pitch - gap))
    size = (1 + 0.06 * middle).astype(np.float32)
    paint = canvas.paint
    ripple = canvas.ripple[bounds]
    core = np.sqrt(np.abs(u / half_u) ** 2.5 + np.abs(v / half_v) ** 2.5) / size + 0.03 * ripple
    canal_v = half_v + rng.uniform(7.5, 10.5)
    canal = (u / rng.uniform(9, 12)) ** 2 + ((v - canal_v) / rng.uniform(6.5, 9)) ** 2
    arch = canal < rng.uniform(2.2, 3.4)
    arch &= ~disc | (v > canal_v)
    spinous = (np.abs(u) < rng.uniform(2.5, 4.5)) & (v > canal_v) & (v < canal_v + rng.uniform(24, 40))
    spinous &= (phase > 0.2 * pitch) & (phase < 0.85 * pitch)
    transverse = (np.abs(v - half_v - 6) < 4.5) & (np.abs(u) < half_u + rng.uniform(12, 24))
    transverse &= (phase > 0.45 * pitch) & (phase < 0.75 * pitch)
    facet = ((np.abs(u) - 15) / 7) ** 2 + ((v - canal_v - 6) / 8) ** 2 < 1
    paint(bounds, arch | spinous | transverse | facet, Tissue.CORTICAL_BONE, None)
    inner = (canal < 1.9) & (canal > 1.35) | (facet & (ripple > 0.4)) | (transverse & (np.abs(v - half_v - 6) < 2.5))
    paint(bounds, inner, Tissue.TRABECULAR_BONE, (Tissue.CORTICAL_BONE,))
    paint(bounds, (core < 1) & ~disc, Tissue.CORTICAL_BONE, None)
    shell = rng.uniform(1.2, 2.6) / half_v
    inside = core < 1 - shell
    inside &= (phase > gap + 1.5) & (phase < pitch - 1.5)
    paint(bounds, inside, Tissue.TRABECULAR_BONE, None)
    paint(bounds, (core < 0.98) & disc, Tissue.DISC, None)
    paint(bounds, canal < 1, Tissue.SPINAL_CANAL, None)


def _ribs(canvas: Canvas, layout: Layout) -> None:
    """Oblique ribs inside the wall: each descends on its way forward, so a slice cuts several."""
    rng = canvas.rng
    low = rng.uniform(-20, 60)
    w = layout.w(canvas.grid)
    count = int((w < low + 60).sum())
    if not count:
        return
    u, v = _plane(canvas, layout)
    # The ring between the muscle's outside and the cavity carries the ribs.
    middle = layout.fascia.shrunk(3, 6, 3)
    gauge = middle.gauge(u, v)
    ring = (gauge < 1.0) & (gauge > 1 - rng.uniform(0.16, 0.24))
    angle = np.arctan2(np.abs(u), v - layout.cavity.v)
    rows, columns = np.nonzero(ring & (np.abs(u) > 28))
    theta = angle[rows, columns].astype(np.float32)
    level = gauge[rows, columns]
    size = layout.waist[:count, None] ** np.float32(middle.power)
    height = w[:count, None] - np.float32(rng.uniform(45, 75)) * theta[None]
    pitch, thick = rng.uniform(24, 34), rng.uniform(6.5, 10)
    phase = np.mod(height + rng.uniform(0, 30), np.float32(pitch))
    edge = np.float32(low) - np.float32(rng.uniform(25, 55)) * theta[None]
    rib = (phase < thick) & (w[:count, None] < edge + 20)
    shifted = level[None] / size
    center = 1 - 0.09
    rib &= np.abs(shifted - center) < 0.07
    soft = (np.abs(phase - thick / 2) < thick / 2 - 1.8) & (np.abs(shifted - center) < 0.035)
    volume = canvas.tissue[:count, rows, columns]
    bone = np.where(soft, Tissue.TRABECULAR_BONE, Tissue.CORTICAL_BONE).astype(np.uint8)
    allowed = (volume == Tissue.MUSCLE) | (volume == Tissue.SUBCUTANEOUS_FAT) | (volume == Tissue.VISCERAL_FAT)
    canvas.tissue[:count, rows, columns] = np.where(rib & allowed, bone, volume)


def _pelvis(canvas: Canvas, layout: Layout) -> None:
    """Iliac wings with their muscles, and the sacrum, low in the scan."""
    rng = canvas.rng
    crest = rng.uniform(85, 135)
    if layout.w(canvas.grid)[-1] < crest:
        return
    half_u = layout.fascia.half_u
    for side in (-1, 1):
        points = np.array(
            [
                [crest + 100, 40, side * 0.35 * half_u],
                [crest + 45, 22, side * 0.62 * half_u],
                [crest + 8, -5, side * 0.78 * half_u],
                [crest + 55, -35, side * 0.76 * half_u],
                [crest + 110, -50, side * 0.66 * half_u],
            ]
        )
        wing = canvas.ellipsoid(
            layout.place(crest + 75, -8, side * 0.66 * half_u),
            np.array([75, 62, 11.0]),
            layout.turn @ _wing_turn(side),
            0.05,
        )
        if wing is None:
            continue
        bounds, gauge = wing
        canvas.paint(bounds, gauge < 1, Tissue.CORTICAL_BONE, None)
        canvas.paint(bounds, gauge < 0.66, Tissue.TRABECULAR_BONE, (Tissue.CORTICAL_BONE,))
        muscle = canvas.tube(layout.places(points - [0, 0, side * 16.0]), np.array([10, 15, 9, 14, 16.0]))
        if muscle is not None:
            canvas.paint(muscle[0], muscle[1] < 0, Tissue.MUSCLE)


def _wing_turn(side: int) -> NDArray[np.float64]:
    return rotation_matrix(side * 0.55, 0.0, side * 0.25)


def _table(canvas: Canvas, layout: Layout) -> None:
    """A curved table top under the back, one or two thin layers."""
    rng = canvas.rng
    _, y, x = canvas.grid.axes
    back = layout.spine[1] + layout.skin.v + layout.skin.half_v * float(layout.waist.max())
    curve = rng.uniform(0.0, 1.0) * (x / 180) ** 2 * 60
    top = back + rng.uniform(2, 12) + curve.max() * 0.15 - curve
    width = np.abs(x) < rng.uniform(180, 240)
    for shift in (0.0, rng.uniform(12, 30)):
        layer = (np.abs(y[:, None] - (top + shift)[None, :]) < rng.uniform(0.8, 1.8)) & width[None]
        where = np.broadcast_to(layer[None], canvas.tissue.shape) & (canvas.tissue == Tissue.AIR)
        canvas.tissue[where] = Tissue.TABLE
