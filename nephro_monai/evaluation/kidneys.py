"""Whether each kidney of a scan was found."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from nephro_monai.metrics.dice import dice

__all__ = ["KIDNEY_FOUND_DICE", "kidneys_found"]

KIDNEY_FOUND_DICE = 0.5
"""A kidney counts as found above this Dice."""

_MARGIN_MM = 20.0
_SMALLEST_SHARE = 0.05
_MOST_KIDNEYS = 2


def kidneys_found(prediction: np.ndarray, truth: np.ndarray, spacing_mm: tuple[float, float, float]) -> tuple[int, int]:
    """Counts the true kidneys that the prediction found.

    A true kidney is one of the two largest connected components of the true label map (kidney and tumor together);
    components below a twentieth of the largest are crumbs. It is found if, within its bounding box grown by 20 mm,
    the Dice of the component and everything predicted exceeds 0.5; voxels of the other true kidney do not count.
    Kidneys that touch are one component, and count as one.

    Args:
        prediction: (I, J, K) label map, anything above 0 is kidney.
        truth: (I, J, K) label map.
        spacing_mm: Voxel size along the axes.

    Returns:
        Kidneys found and kidneys there.
    """
    margin = [round(_MARGIN_MM / s) for s in spacing_mm]
    inside = _grown(_bounds(truth > 0), margin, truth.shape)
    prediction, truth = prediction[inside] > 0, truth[inside] > 0
    if not truth.size:
        return 0, 0
    components, count = ndimage.label(truth, ndimage.generate_binary_structure(3, 3))
    sizes = np.bincount(components.ravel(), minlength=count + 1)[1:]
    order = [i + 1 for i in np.argsort(sizes)[::-1][:_MOST_KIDNEYS] if sizes[i] >= _SMALLEST_SHARE * sizes.max()]
    boxes = ndimage.find_objects(components)
    hits = 0
    for label in order:
        box = _grown(boxes[label - 1], margin, truth.shape)
        own = components[box] == label
        others = truth[box] & ~own
        hits += dice(prediction[box] & ~others, own) > KIDNEY_FOUND_DICE
    return hits, len(order)


def _bounds(mask: np.ndarray) -> tuple[slice, ...]:
    """Bounding box of a mask; empty slices for an empty one."""
    box = []
    for axis in range(mask.ndim):
        along = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        box.append(slice(int(along[0]), int(along[-1]) + 1) if along.size else slice(0, 0))
    return tuple(box)


def _grown(box: tuple[slice, ...], margin: list[int], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """The box with a margin on both sides, cut to the volume; an empty one stays empty."""
    if any(s.stop <= s.start for s in box):
        return box
    return tuple(slice(max(0, s.start - m), min(n, s.stop + m)) for s, m, n in zip(box, margin, shape, strict=True))
