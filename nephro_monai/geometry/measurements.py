"""Sizes, places and sides of kidneys and tumors in a label map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import SimpleITK
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from nephro_monai.constants import KIDNEY, TUMOR
from nephro_monai.geometry.components import Components, find_components, foreground_box
from nephro_monai.structures import Box, Kidney, Tumor

__all__ = [
    "ShapeStatistics",
    "body_midline_x",
    "find_tumors",
    "largest_diameter_mm",
    "measure_kidneys",
    "measure_tumors",
    "shape_statistics",
    "spacing_mm",
]

Side = Literal["left", "right"]

_BODY_HU = -300.0
_COARSE_MM = 4.0
_MIN_BODY_SHARE = 0.02
_SPLIT_WIDTH_MM = 100.0
_SPLIT_SHARE = 0.25
_MAX_KIDNEYS_PER_SIDE = 2


@dataclass(frozen=True)
class ShapeStatistics:
    """Size and place of one mask."""

    volume_ml: float
    center_voxel: tuple[float, float, float]
    center_mm: tuple[float, float, float]


def spacing_mm(affine: np.ndarray) -> tuple[float, float, float]:
    """Voxel size along the three axes of a 4x4 affine, in mm."""
    x, y, z = np.linalg.norm(np.asarray(affine, dtype=np.float64)[:3, :3], axis=0)
    return float(x), float(y), float(z)


def shape_statistics(mask: np.ndarray, affine: np.ndarray, origin: tuple[int, int, int] = (0, 0, 0)) -> ShapeStatistics:
    """Volume and centroid of a mask, by SimpleITK's label statistics.

    Args:
        mask: (X, Y, Z) with at least one non-zero voxel; a crop is enough.
        affine: (4, 4) voxel-to-RAS-mm matrix of the whole volume.
        origin: Voxel of the whole volume at which the crop starts.

    Returns:
        Volume in ml, centroid in voxels of the whole volume and in world mm (RAS).

    Raises:
        ValueError: If the mask is empty.
    """
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray((mask != 0).transpose(2, 1, 0)).view(np.uint8))
    image.SetSpacing(spacing_mm(affine))
    statistics = SimpleITK.LabelShapeStatisticsImageFilter()
    statistics.Execute(image)
    if not statistics.HasLabel(1):
        raise ValueError("An empty mask has no volume and no center.")
    inside = np.asarray(statistics.GetCentroid(1)) / spacing_mm(affine)
    voxel = inside + np.asarray(origin, dtype=np.float64)
    world = np.asarray(affine, dtype=np.float64) @ np.append(voxel, 1.0)
    return ShapeStatistics(float(statistics.GetPhysicalSize(1)) / 1000.0, _triple(voxel), _triple(world[:3]))


def largest_diameter_mm(mask: np.ndarray, spacing: tuple[float, float, float]) -> float:
    """Feret diameter in 3-D: the largest distance between two voxel centers of a mask.

    The same value as SimpleITK's, which compares all pairs of boundary voxels (0.3 s for a tumor of 8 ml, growing
    with the square of its surface); the farthest pair lies on the convex hull, so only its corners are compared.

    Args:
        mask: (X, Y, Z) with at least one non-zero voxel.
        spacing: Voxel size in mm.
    """
    inside = np.asarray(mask) != 0
    lines = np.argwhere(inside.any(axis=0))
    first = inside.argmax(axis=0)[tuple(lines.T)]
    last = inside.shape[0] - 1 - inside[::-1].argmax(axis=0)[tuple(lines.T)]
    # Only the ends of each line along x can be corners of the hull.
    ends = np.unique(np.concatenate([np.column_stack([x, lines]) for x in (first, last)]), axis=0)
    points = ends * np.asarray(spacing, dtype=np.float64)
    if len(points) < 2:
        return 0.0
    if len(points) > 100:
        try:
            corners = ConvexHull(points).vertices
        except QhullError:  # all voxels in one plane: joggled input still finds the corners
            corners = ConvexHull(points, qhull_options="QJ").vertices
        points = points[corners]
    return float(pdist(points).max())


def body_midline_x(image: np.ndarray, affine: np.ndarray, zs: tuple[int, int] | None = None) -> float:
    """Where the body's mid-sagittal plane cuts the x axis, in voxels.

    The plane is put where half of the body (largest region above -300 HU on a coarse copy, so that table and arms
    weigh little) lies on either side, median over the slices. Without a visible body it is the middle of the volume.

    Args:
        image: (X, Y, Z) in HU, axes R-A-S.
        affine: (4, 4) voxel-to-mm matrix.
        zs: Half-open range of slices to look at; None for all.
    """
    steps = tuple(max(1, round(_COARSE_MM / s)) for s in spacing_mm(affine))
    start, stop = zs or (0, image.shape[2])
    coarse = image[:: steps[0], :: steps[1], start : stop : steps[2]] > _BODY_HU
    body = find_components(coarse, connectivity=1)
    if body is None or body.sizes[0] < _MIN_BODY_SHARE * coarse.size:
        return (image.shape[0] - 1) / 2
    own = body.boxes[0]
    columns = body.mask(1).sum(axis=1).astype(np.float64)  # (x, z)
    columns = columns[:, columns.sum(axis=0) > 0]
    halves = np.cumsum(columns, axis=0) - columns / 2
    middles = [
        np.interp(total / 2, line, np.arange(len(line)))
        for line, total in zip(halves.T, columns.sum(axis=0), strict=True)
    ]
    return (own.xmin + float(np.median(middles))) * steps[0]


def measure_kidneys(
    label_map: np.ndarray, affine: np.ndarray, midline_x: float, min_kidney_ml: float = 5.0
) -> list[Kidney]:
    """The kidneys of a label map, the patient's right one first.

    A kidney is a connected region of labels above 0 with at least `min_kidney_ml` of kidney; at most the two largest
    per side count. A region that is wider than 100 mm and has at least a quarter of its kidney on either side of the
    midline is two kidneys that touch (or a horseshoe kidney) and is cut at the midline.

    Args:
        label_map: (X, Y, Z), 0 background, 1 kidney, 2 tumor, axes R-A-S.
        affine: (4, 4) voxel-to-RAS-mm matrix.
        midline_x: From `body_midline_x`; larger x is the patient's right.
        min_kidney_ml: Smaller regions are dropped.

    Returns:
        Kidneys with side, bounding box (tumors included), volume and centroid (tumors excluded).
    """
    voxel_ml = _voxel_ml(affine)
    regions = find_components(label_map)
    kidneys: list[Kidney] = []
    for index in range(1, len(regions.boxes) + 1 if regions else 1):
        if regions.sizes[index - 1] * voxel_ml < min_kidney_ml:  # type: ignore[union-attr]
            break  # falling sizes
        box = regions.boxes[index - 1]  # type: ignore[union-attr]
        region = np.where(regions.mask(index), label_map[box.slices], 0)  # type: ignore[union-attr]
        for part, part_box in _halves(region, box, affine, midline_x):
            kidney = part == KIDNEY
            if int(kidney.sum()) * voxel_ml < min_kidney_ml:
                continue
            found = shape_statistics(kidney, affine, (part_box.xmin, part_box.ymin, part_box.zmin))
            side: Side = "right" if found.center_voxel[0] > midline_x else "left"
            kidneys.append(Kidney(side, part_box, found.volume_ml, found.center_mm))
    kidneys.sort(key=lambda kidney: -kidney.volume_ml)
    right = [kidney for kidney in kidneys if kidney.side == "right"][:_MAX_KIDNEYS_PER_SIDE]
    left = [kidney for kidney in kidneys if kidney.side == "left"][:_MAX_KIDNEYS_PER_SIDE]
    return right + left


def find_tumors(label_map: np.ndarray, affine: np.ndarray, min_tumor_ml: float = 0.1) -> Components | None:
    """Connected regions of the tumor label, the largest first; None if none has at least `min_tumor_ml`."""
    box = foreground_box(label_map)
    if box is None:
        return None
    inner = find_components(label_map[box.slices] == TUMOR, min_voxels=min_tumor_ml / _voxel_ml(affine) - 1e-6)
    if inner is None:
        return None
    moved = tuple(_moved(own, box) for own in inner.boxes)
    shape = (label_map.shape[0], label_map.shape[1], label_map.shape[2])
    return replace(inner, box=_moved(inner.box, box), boxes=moved, shape=shape)


def measure_tumors(
    label_map: np.ndarray, affine: np.ndarray, midline_x: float, min_tumor_ml: float = 0.1
) -> list[Tumor]:
    """The tumors of a label map, the largest first (its index is 1).

    A tumor's side is the side of the kidney it grows on (a large one can cross the midline); where it touches no
    kidney, or the region is wider than 100 mm and may be two kidneys, the tumor's own center decides.

    Args:
        label_map: (X, Y, Z), 0 background, 1 kidney, 2 tumor, axes R-A-S.
        affine: (4, 4) voxel-to-RAS-mm matrix.
        midline_x: From `body_midline_x`.
        min_tumor_ml: Smaller regions are dropped.

    Returns:
        Tumors with side, box, volume, centroid and largest diameter.
    """
    found = find_tumors(label_map, affine, min_tumor_ml)
    if found is None:
        return []
    regions = find_components(label_map)
    tumors = []
    for index, box in enumerate(found.boxes, start=1):
        mask = found.mask(index)
        size = shape_statistics(mask, affine, (box.xmin, box.ymin, box.zmin))
        x = _kidney_x(mask, box, label_map, regions, affine)
        side: Side = "right" if (size.center_voxel[0] if x is None else x) > midline_x else "left"
        diameter = largest_diameter_mm(mask, spacing_mm(affine))
        tumors.append(Tumor(index, side, box, size.volume_ml, size.center_mm, diameter))
    return tumors


def _kidney_x(
    tumor: np.ndarray, box: Box, label_map: np.ndarray, regions: Components | None, affine: np.ndarray
) -> float | None:
    """Center along x of the kidney that a tumor is connected with; None where that says nothing about its side."""
    if regions is None:
        return None
    x, y, z = np.argwhere(tumor)[0] + (box.xmin, box.ymin, box.zmin)
    whole = regions.box
    index = int(regions.labels[x - whole.xmin, y - whole.ymin, z - whole.zmin])
    own = regions.boxes[index - 1]
    kidney = regions.mask(index) & (label_map[own.slices] == KIDNEY)
    if not kidney.any():
        return None
    along_x = kidney.sum(axis=(1, 2))
    width = np.flatnonzero(along_x)
    if (width[-1] - width[0] + 1) * spacing_mm(affine)[0] > _SPLIT_WIDTH_MM:
        return None
    return own.xmin + float(np.average(np.arange(len(along_x)), weights=along_x))


def _halves(region: np.ndarray, box: Box, affine: np.ndarray, midline_x: float) -> list[tuple[np.ndarray, Box]]:
    """A region as it is, or cut at the midline where it must be two kidneys."""
    along_x = (region == KIDNEY).sum(axis=(1, 2))
    cut = round(midline_x) + 1 - box.xmin
    total = int(along_x.sum())
    wide = box.shape[0] * spacing_mm(affine)[0] > _SPLIT_WIDTH_MM
    if not (wide and 0 < cut < len(along_x) and total):
        return [(region, box)]
    share = along_x[:cut].sum() / total
    if not _SPLIT_SHARE <= share <= 1 - _SPLIT_SHARE:
        return [(region, box)]
    halves = []
    for part, xmin in ((region[:cut], box.xmin), (region[cut:], box.xmin + cut)):
        inner = foreground_box(part)
        if inner is not None:
            halves.append((part[inner.slices], _moved(inner, replace(box, xmin=xmin, xmax=xmin + part.shape[0]))))
    return halves


def _moved(inner: Box, outer: Box) -> Box:
    """A box inside `outer`, given from its corner, in the coordinates of the volume."""
    x, y, z = outer.xmin, outer.ymin, outer.zmin
    return Box(inner.xmin + x, inner.ymin + y, inner.zmin + z, inner.xmax + x, inner.ymax + y, inner.zmax + z)


def _voxel_ml(affine: np.ndarray) -> float:
    return float(np.prod(spacing_mm(affine))) / 1000.0


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
