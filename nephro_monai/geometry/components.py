"""Connected components of masks, labeled inside their bounding box so that whole scans stay cheap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage import measure

from nephro_monai.structures import Box

__all__ = ["Components", "find_components", "foreground_box", "keep_largest_component", "largest_components"]


@dataclass(frozen=True)
class Components:
    """Connected components, the largest first.

    Attributes:
        box: Foreground's bounding box in the volume.
        labels: int32 array of the box's shape: 0 outside, 1 for the largest component, counting up.
        sizes: Voxels of each component, falling.
        boxes: Bounding box of each component in the volume.
        shape: Of the volume.
    """

    box: Box
    labels: np.ndarray
    sizes: tuple[int, ...]
    boxes: tuple[Box, ...]
    shape: tuple[int, int, int]

    def mask(self, index: int) -> np.ndarray:
        """Component `index` (from 1) as a boolean array of its own box."""
        own = self.boxes[index - 1]
        start = (self.box.xmin, self.box.ymin, self.box.zmin)
        inner = tuple(slice(s.start - o, s.stop - o) for s, o in zip(own.slices, start, strict=True))
        return self.labels[inner] == index


def foreground_box(mask: np.ndarray) -> Box | None:
    """Smallest box around the non-zero voxels of an (X, Y, Z) array; None if there are none."""
    _check_volume(mask)
    in_plane, in_column = np.any(mask, axis=2), np.any(mask, axis=(0, 1))
    bounds = []
    for line in (in_plane.any(axis=1), in_plane.any(axis=0), in_column):
        positions = np.flatnonzero(line)
        if not len(positions):
            return None
        bounds.append((int(positions[0]), int(positions[-1]) + 1))
    (x0, x1), (y0, y1), (z0, z1) = bounds
    return Box(x0, y0, z0, x1, y1, z1)


def find_components(mask: np.ndarray, min_voxels: float = 1, connectivity: int = 3) -> Components | None:
    """Labels the connected components of a mask by falling size (ties: by their first voxel).

    Args:
        mask: (X, Y, Z), non-zero = foreground.
        min_voxels: Smaller components are dropped.
        connectivity: 1 joins voxels that share a face, 2 also edges, 3 also corners.

    Returns:
        The components; None if none is large enough.

    Raises:
        ValueError: If the mask is not 3-D.
    """
    box = foreground_box(mask)
    if box is None:
        return None
    found = measure.label(np.ascontiguousarray(mask[box.slices] != 0), connectivity=connectivity)
    sizes = np.bincount(found.ravel())
    sizes[0] = 0
    order = np.argsort(-sizes, kind="stable")
    order = order[sizes[order] >= max(1, min_voxels)]
    if not len(order):
        return None
    new_labels = np.zeros(len(sizes), dtype=np.int32)
    new_labels[order] = np.arange(1, len(order) + 1)
    labels = new_labels[found]
    boxes = tuple(
        Box(
            x.start + box.xmin, y.start + box.ymin, z.start + box.zmin,
            x.stop + box.xmin, y.stop + box.ymin, z.stop + box.zmin,
        )
        for x, y, z in ndimage.find_objects(labels)
    )  # fmt: skip
    shape = (mask.shape[0], mask.shape[1], mask.shape[2])
    return Components(box, labels, tuple(int(sizes[i]) for i in order), boxes, shape)


def largest_components(mask: np.ndarray, count: int = 1, connectivity: int = 3) -> np.ndarray:
    """The `count` largest connected components of an (X, Y, Z) mask as a boolean array of its shape."""
    kept = np.zeros(mask.shape, dtype=bool)
    components = find_components(mask, connectivity=connectivity)
    if components is not None:
        kept[components.box.slices] = (components.labels > 0) & (components.labels <= count)
    return kept


def keep_largest_component(label_map: np.ndarray, connectivity: int = 3) -> np.ndarray:
    """A label map with only its largest connected foreground region (all labels above 0 together).

    Args:
        label_map: (X, Y, Z) integers.
        connectivity: As in `find_components`.

    Returns:
        Array of the same type and shape; everything outside that region is 0.
    """
    return np.where(largest_components(label_map, 1, connectivity), label_map, np.zeros((), label_map.dtype))


def _check_volume(mask: np.ndarray) -> None:
    if mask.ndim != 3:
        raise ValueError(f"Components are found in (X, Y, Z) arrays, got the shape {mask.shape}.")
