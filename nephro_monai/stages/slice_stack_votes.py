"""From the classes of a kidney's slices to votes for its tumors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from nephro_monai.constants import CLASS_NAMES, SLICE_CLASS_NAMES
from nephro_monai.geometry.axial_stack import AxialStack
from nephro_monai.geometry.components import Components
from nephro_monai.geometry.measurements import find_tumors, spacing_mm
from nephro_monai.geometry.tumor_slices import TumorSlice
from nephro_monai.structures import Scan, SliceVote
from nephro_monai.transforms.crop_tumor_slices import new_slice_vote

__all__ = ["JudgedStack", "stack_votes"]


@dataclass(frozen=True)
class JudgedStack:
    """The slices of one kidney box and what the network said of them.

    Attributes:
        stack: The slices, the first phase in channel 0.
        classes: (K, 3) probabilities in the order of `constants.SLICE_CLASS_NAMES`.
        corners: First row and column of the window that each answer came from.
        size: Rows and columns of a window.
    """

    stack: AxialStack
    classes: torch.Tensor
    corners: Sequence[tuple[int, int]]
    size: int


def stack_votes(
    judged: Sequence[JudgedStack], label_map: np.ndarray, affine: np.ndarray, scan: Scan, smallest_tumor_ml: float
) -> tuple[list[SliceVote], list[list[float]], list[torch.Tensor]]:
    """Votes for the outlined tumors, by the rules of `SegmentAndClassifyd`.

    Args:
        judged: One per kidney box.
        label_map: (X, Y, Z) integers, axes R-A-S.
        affine: (4, 4) voxel-to-mm matrix.
        scan: For positions in the file.
        smallest_tumor_ml: Smaller pieces are no tumor.

    Returns:
        The votes in the order of tumors and slices; their three probabilities; and (size, size) slices in HU.
    """
    tumors = find_tumors(label_map, affine, smallest_tumor_ml)
    if tumors is None:
        return [], [], []
    found = []
    for one in judged:
        areas = _areas(one.stack, tumors, affine)
        for k, row in enumerate(one.classes.tolist()):
            name = SLICE_CLASS_NAMES[int(np.argmax(row))]
            for index, area in _votes_for(areas, k, name):
                item = TumorSlice(index, one.stack.native_z(k), one.stack.center_xy, area)
                vote = replace(
                    new_slice_vote(item, affine, scan, label_map.shape[2]), probabilities=tuple(row), vote=name
                )
                found.append((vote, row, _window(one, k)))
    found.sort(key=lambda entry: (entry[0].tumor, entry[0].slice_index))
    return [vote for vote, _, _ in found], [row for _, row, _ in found], [crop for _, _, crop in found]


def _areas(stack: AxialStack, tumors: Components, affine: np.ndarray) -> dict[int, np.ndarray]:
    """By tumor of this box, its mean area in mm2 in the voxels of each slice of the stack."""
    x_mm, y_mm, _ = spacing_mm(affine)
    inside = np.zeros(stack.box.shape, dtype=np.int32)
    own, all_ = stack.box, tumors.box
    low = [max(a.start, b.start) for a, b in zip(own.slices, all_.slices, strict=True)]
    high = [min(a.stop, b.stop) for a, b in zip(own.slices, all_.slices, strict=True)]
    if any(a >= b for a, b in zip(low, high, strict=True)):
        return {}
    here, there = (
        tuple(slice(a - s.start, b - s.start) for a, b, s in zip(low, high, box.slices, strict=True))
        for box in (own, all_)
    )
    inside[here] = tumors.labels[there]
    count, depth = len(stack.slices), own.shape[2]
    slabs = [slice(k * depth // count, max(k * depth // count + 1, (k + 1) * depth // count)) for k in range(count)]
    return {
        int(index): np.array([(inside[:, :, slab] == index).sum() / (slab.stop - slab.start) for slab in slabs])
        * (x_mm * y_mm)
        for index in np.unique(inside)
        if index > 0
    }


def _votes_for(areas: dict[int, np.ndarray], k: int, name: str) -> list[tuple[int, float]]:
    """Tumors that slice `k` votes for, with their area in it."""
    cut = [(index, float(area[k])) for index, area in areas.items() if area[k] > 0]
    if cut or not areas or name not in CLASS_NAMES:
        return cut
    nearest = min(areas, key=lambda index: (int(np.abs(np.flatnonzero(areas[index]) - k).min()), index))
    return [(nearest, 0.0)]


def _window(judged: JudgedStack, k: int) -> torch.Tensor:
    top, left = judged.corners[k]
    return judged.stack.slices[k, 0, top : top + judged.size, left : left + judged.size]
