"""From boxes in axial slices to one 3-D box per kidney (Kamkova 2019, section 3.3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from nephro_monai.geometry.axial_frame import AxialFrame
from nephro_monai.structures import Box

__all__ = ["MergeSettings", "SliceDetections", "edges_to_box", "merge_slice_boxes"]


@dataclass(frozen=True)
class SliceDetections:
    """What the detector found in one slice.

    Attributes:
        boxes: (N, 4) x1, y1, x2, y2 in input pixels.
        scores: (N,) in 0..1.
    """

    boxes: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class MergeSettings:
    """When slice boxes make a kidney.

    Attributes:
        score_threshold: Detections below it are not looked at.
        core: Boxes of neighboring slices belong together where their middles, this share of width and height,
            overlap; so boxes of two organs that only touch stay apart.
        least_slices: Kidneys seen in fewer slices are dropped (scans of up to three slices excepted).
        least_evidence: Sum of the scores a kidney needs.
        size_score: Of each kidney, only boxes of at least this share of its best score count for its extent.
        largest_ratio: The three-times rule: a second component that is smaller than the first by more, or has less
            evidence by more, is dropped...
        sure_score: ... unless its best score is at least this.
        apart_mm: Distance, right to left, of two kidneys on the same side of the body (a displaced one).
        companion_mm: A further component that is closer in the plane and shares a slice belongs to the kidney, for
            example its tumor.
        margin_mm: Added around each box.
    """

    score_threshold: float = 0.3
    core: float = 0.6
    least_slices: int = 2
    least_evidence: float = 1.0
    size_score: float = 0.5
    largest_ratio: float = 3.0
    sure_score: float = 0.95
    apart_mm: float = 80.0
    companion_mm: float = 12.0
    margin_mm: float = 15.0


@dataclass(frozen=True)
class _Component:
    """Boxes of neighboring slices that belong together.

    Attributes:
        edges: x1, y1, x2, y2 in pixels, and the half-open range of slices.
        volume: Sum of the areas of the boxes, in pixels.
        evidence: Sum of the best score per slice; the order of the candidates.
        best: Best score.
        slices: Slices with a box.
    """

    edges: tuple[float, float, float, float, int, int]
    volume: float
    evidence: float
    best: float
    slices: int

    @property
    def column(self) -> float:
        """Middle column."""
        return (self.edges[0] + self.edges[2]) / 2


def merge_slice_boxes(
    detections: Sequence[SliceDetections],
    frame: AxialFrame,
    spacing_mm: Sequence[float],
    settings: MergeSettings | None = None,
) -> list[Box]:
    """Kidney boxes of a scan.

    The middles of the boxes are painted into a volume, a gap of one slice is closed, and the 3-D components are the
    candidates, ordered by the slices they are seen in, each counting its score (a deviation from the paper's order by
    size: few large boxes of a liver would come before a kidney). The first is a kidney; the second is the first one on
    the other side of the body. If it is more than three times smaller, only one kidney is there or both are merged, as
    the paper has it, unless the detector is sure of it (a deviation: beside a huge tumor the healthy kidney is that
    much smaller).
    The largest width, height and length over its slices, and a margin, give each kidney's box.

    Args:
        detections: One per slice of the frame, from inferior to superior.
        frame: Where pixels and slices lie in the scan.
        spacing_mm: Voxel size of the scan along X, Y and Z.
        settings: None for the defaults.

    Returns:
        No, one or two boxes in voxels of the R-A-S scan, the better seen kidney first.

    Raises:
        ValueError: If there is not one entry per slice.
    """
    chosen = settings or MergeSettings()
    if len(detections) != len(frame.slice_ranges):
        raise ValueError(f"Detections of {len(detections)} slices do not fit a frame of {len(frame.slice_ranges)}.")
    least_slices = chosen.least_slices if len(detections) > 3 else 1
    candidates = [
        c
        for c in _components(detections, frame.size, chosen)
        if c.slices >= least_slices and (c.evidence >= chosen.least_evidence or least_slices == 1)
    ]
    pixel_mm = frame.volume_shape[0] * spacing_mm[0] / frame.plane_shape[1]
    kidneys = _kidneys(candidates, frame.size / 2, pixel_mm, chosen)
    for index, kidney in enumerate(kidneys):
        others = [c for c in candidates if c not in kidneys]
        kidneys[index] = _with_companions(kidney, others, pixel_mm, chosen)
    return [
        edges_to_box(frame.to_volume(k.edges[:4], k.edges[4:]), frame.volume_shape, spacing_mm, chosen.margin_mm)
        for k in kidneys
    ]


def edges_to_box(
    edges: Sequence[float], shape: tuple[int, int, int], spacing_mm: Sequence[float], margin_mm: float
) -> Box:
    """Rounds continuous voxel edges outward, adds a margin and cuts the box to the scan.

    Args:
        edges: xmin, ymin, zmin, xmax, ymax, zmax (voxel i covers i..i+1); may reach beyond the scan.
        shape: (X, Y, Z) of the scan.
        spacing_mm: Voxel size.
        margin_mm: On every side.

    Returns:
        At least one voxel on each axis.
    """
    lower, upper = [], []
    for axis in range(3):
        margin = margin_mm / spacing_mm[axis]
        start = min(max(math.floor(edges[axis] - margin), 0), shape[axis] - 1)
        lower.append(start)
        upper.append(max(start + 1, min(math.ceil(edges[axis + 3] + margin), shape[axis])))
    return Box(*lower, *upper)


def _components(detections: Sequence[SliceDetections], size: int, settings: MergeSettings) -> list[_Component]:
    """Candidates, the best seen first."""
    painted = np.zeros((len(detections), size, size), dtype=bool)
    kept: list[tuple[int, np.ndarray, float]] = []
    for index, found in enumerate(detections):
        for box, score in zip(found.boxes, found.scores, strict=True):
            if score >= settings.score_threshold:
                x1, y1, x2, y2 = _core(box, settings.core, size)
                painted[index, y1:y2, x1:x2] = True
                kept.append((index, box, float(score)))
    # A kidney missed in one slice stays one kidney.
    painted[1:-1] |= painted[:-2] & painted[2:]
    labels, _ = ndimage.label(painted)
    members: dict[int, list[tuple[int, np.ndarray, float]]] = {}
    for index, box, score in kept:
        x1, y1, x2, y2 = _core(box, settings.core, size)
        members.setdefault(int(labels[index, (y1 + y2) // 2, (x1 + x2) // 2]), []).append((index, box, score))
    return sorted((_component(m, settings) for m in members.values()), key=lambda c: -c.evidence)


def _core(box: np.ndarray, share: float, size: int) -> tuple[int, int, int, int]:
    """Middle of a box in whole pixels inside the slice, at least one pixel."""
    edges = []
    for low, high in ((box[0], box[2]), (box[1], box[3])):
        middle, half = (low + high) / 2, share * (high - low) / 2
        start = min(max(round(middle - half), 0), size - 1)
        edges.append((start, max(start + 1, min(round(middle + half), size))))
    return edges[0][0], edges[1][0], edges[0][1], edges[1][1]


def _component(members: list[tuple[int, np.ndarray, float]], settings: MergeSettings) -> _Component:
    """Extent and evidence of boxes that belong together."""
    best = max(score for _, _, score in members)
    per_slice: dict[int, float] = {}
    for index, _, score in members:
        per_slice[index] = max(per_slice.get(index, 0.0), score)
    sized = [(index, box) for index, box, score in members if score >= settings.size_score * best]
    areas = [float((box[2] - box[0]) * (box[3] - box[1])) for _, box, _ in members]
    boxes = np.stack([box for _, box in sized])
    indices = [index for index, _ in sized]
    return _Component(
        edges=(
            float(boxes[:, 0].min()),
            float(boxes[:, 1].min()),
            float(boxes[:, 2].max()),
            float(boxes[:, 3].max()),
            min(indices),
            max(indices) + 1,
        ),
        volume=float(sum(areas)),
        evidence=sum(per_slice.values()),
        best=best,
        slices=len(per_slice),
    )


def _kidneys(candidates: list[_Component], middle: float, pixel_mm: float, settings: MergeSettings) -> list[_Component]:
    """The first candidate and the first one opposite to it, by the three-times rule."""
    if not candidates:
        return []
    first = candidates[0]
    for other in candidates[1:]:
        opposite = (other.column > middle) != (first.column > middle)
        if not opposite and abs(other.column - first.column) * pixel_mm < settings.apart_mm:
            continue
        volumes = (first.volume, other.volume)
        alike = max(volumes) <= settings.largest_ratio * min(volumes)
        alike &= first.evidence <= settings.largest_ratio * other.evidence
        if alike or other.best >= settings.sure_score:
            return [first, other]
    return [first]


def _with_companions(
    kidney: _Component, others: list[_Component], pixel_mm: float, settings: MergeSettings
) -> _Component:
    """The kidney with what lies close by on its side, such as a tumor found apart from it."""
    x1, y1, x2, y2, z1, z2 = kidney.edges
    for other in others:
        a1, b1, a2, b2, c1, c2 = other.edges
        gap_mm = max(a1 - x2, x1 - a2, b1 - y2, y1 - b2) * pixel_mm
        shared_slices = min(z2, c2) - max(z1, c1)
        if gap_mm <= settings.companion_mm and shared_slices > 0 and other.best >= kidney.best / 2:
            x1, y1, x2, y2, z1, z2 = min(x1, a1), min(y1, b1), max(x2, a2), max(y2, b2), min(z1, c1), max(z2, c2)
    return replace(kidney, edges=(x1, y1, x2, y2, z1, z2))
