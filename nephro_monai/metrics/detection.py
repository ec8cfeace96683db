"""How many kidneys a detector finds, per slice and per scan."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torchvision.ops import box_iou

from nephro_monai.structures import Box

__all__ = ["box_coverage", "detection_recall_precision", "kidney_recall", "match_counts"]


def match_counts(
    boxes: torch.Tensor, scores: torch.Tensor, truth: torch.Tensor, iou_threshold: float = 0.5
) -> tuple[int, int, int]:
    """Matches detections to true boxes of one slice, best score first, each true box once.

    Args:
        boxes: (N, 4) x1, y1, x2, y2.
        scores: (N,).
        truth: (M, 4).
        iou_threshold: Overlap (intersection over union) that counts as found.

    Returns:
        True positives, false positives, false negatives.
    """
    overlap = box_iou(boxes[scores.argsort(descending=True)], truth)
    hits = 0
    for row in overlap:
        if row.numel() and float(row.max()) >= iou_threshold:
            overlap[:, int(row.argmax())] = -1.0
            hits += 1
    return hits, len(boxes) - hits, len(truth) - hits


def detection_recall_precision(counts: Sequence[tuple[int, int, int]]) -> tuple[float, float]:
    """Recall TP / (TP + FN) and precision TP / (TP + FP) over slices (Kamkova 2019, equations 2 and 3).

    Args:
        counts: True positives, false positives and false negatives per slice, from `match_counts`.

    Returns:
        Recall and precision; NaN where nothing was there to find or nothing was found.
    """
    true, false, missed = (sum(count[i] for count in counts) for i in range(3))
    recall = true / (true + missed) if true + missed else float("nan")
    precision = true / (true + false) if true + false else float("nan")
    return recall, precision


def box_coverage(found: Box, truth: Box) -> float:
    """Share of the true box's volume that lies inside the found box, 0..1."""
    shared = 1
    for axis in range(3):
        a, b = found.slices[axis], truth.slices[axis]
        shared *= max(0, min(a.stop, b.stop) - max(a.start, b.start))
    volume = truth.shape[0] * truth.shape[1] * truth.shape[2]
    return shared / volume


def kidney_recall(found: Sequence[Box], truth: Sequence[Box], least_coverage: float = 0.9) -> tuple[int, int]:
    """Counts the true 3-D kidney boxes that a single found box covers.

    Args:
        found: Boxes of the localizer.
        truth: One box per kidney with its tumors.
        least_coverage: Share of the true box that must lie inside one found box.

    Returns:
        Kidneys found and kidneys there.
    """
    hits = sum(any(box_coverage(box, kidney) >= least_coverage for box in found) for kidney in truth)
    return hits, len(truth)
