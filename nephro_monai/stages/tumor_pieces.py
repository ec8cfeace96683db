"""Pieces of tumor that are too small or too doubtful to be one."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from nephro_monai.constants import KIDNEY, TUMOR
from nephro_monai.geometry import find_components

__all__ = ["drop_doubtful_tumors", "drop_specks"]


def drop_doubtful_tumors(probabilities: torch.Tensor, least_confidence: float) -> None:
    """Takes the probability of tumor from connected tumors whose mean is below a bound, in place.

    What is left of each voxel decides whether it is kidney or background.

    Args:
        probabilities: (3, X, Y, Z) of background, kidney and tumor.
        least_confidence: Mean probability of tumor over the voxels of a tumor, 0..1; 0 keeps all.
    """
    if least_confidence <= 0:
        return
    labels, count = ndimage.label((probabilities.argmax(0) == TUMOR).cpu().numpy())
    means = ndimage.mean(probabilities[TUMOR].cpu().numpy(), labels, np.arange(1, count + 1))
    doubtful = np.flatnonzero(np.asarray(means) < least_confidence) + 1
    gone = np.isin(labels, doubtful)
    # One voxel more, since interpolation to a finer grid would leave a rim; none of the other tumors.
    gone = ndimage.binary_dilation(gone, np.ones((3, 3, 3))) & ((labels == 0) | gone)
    probabilities[TUMOR] *= ~torch.from_numpy(gone).to(probabilities.device)


def drop_specks(label_map: torch.Tensor, smallest_voxels: float) -> None:
    """Makes pieces of tumor below a size kidney, in place.

    Args:
        label_map: uint8 (X, Y, Z).
        smallest_voxels: Smaller pieces are none.
    """
    tumor = label_map == TUMOR
    kept = find_components(tumor.numpy(), min_voxels=smallest_voxels)
    if kept is not None:
        tumor[kept.box.slices] &= torch.from_numpy(kept.labels == 0)
    label_map[tumor] = KIDNEY
