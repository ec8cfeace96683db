"""Pieces of tumor that are too small, too doubtful or too watery to be one."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from nephro_monai.constants import BACKGROUND, KIDNEY, TUMOR
from nephro_monai.geometry import find_components
from nephro_monai.stages.segment_settings import SimpleCysts

__all__ = ["cysts_become_kidney", "drop_doubtful_tumors", "drop_specks"]

_FEWEST_INNER_VOXELS = 8


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
    probabilities[TUMOR] *= ~_with_rim(labels, doubtful).to(probabilities.device)


def cysts_become_kidney(probabilities: torch.Tensor, hu: torch.Tensor, cysts: SimpleCysts) -> None:
    """Gives the probability of tumor to the kidney where a tumor that touches it has the HU of a simple cyst, in place.

    Nothing changes where no kidney is outlined, or the kidney's median says that the scan has no contrast agent.

    Args:
        probabilities: (3, X, Y, Z) of background, kidney and tumor.
        hu: (X, Y, Z) of the same voxels.
        cysts: What counts as one.
    """
    classes, values = probabilities.argmax(0).cpu().numpy(), hu.cpu().numpy()
    tumor, kidney = classes == TUMOR, values[classes == KIDNEY]
    if not tumor.any() or not kidney.size or float(np.median(kidney)) <= cysts.contrast_above_hu:
        return
    labels, count = ndimage.label(tumor)
    index = np.arange(1, count + 1)
    # Voxels at the border hold something of what is beside the cyst.
    inner = labels * ndimage.binary_erosion(tumor)
    thick = index[np.bincount(inner.ravel(), minlength=count + 1)[1:] >= _FEWEST_INNER_VOXELS]
    measured = np.where(np.isin(labels, thick), inner, labels)
    means = np.asarray(ndimage.mean(values, measured, index))
    deviations = np.asarray(ndimage.standard_deviation(values, measured, index))
    low, high = cysts.hu
    touching = np.unique(labels[ndimage.binary_dilation(classes == KIDNEY)])
    watery = index[(means >= low) & (means <= high) & (deviations <= cysts.largest_deviation_hu)]
    moved = _with_rim(labels, np.intersect1d(watery, touching)).to(probabilities.device) * probabilities[TUMOR]
    outside = torch.from_numpy(classes == BACKGROUND).to(probabilities.device)
    probabilities[KIDNEY] += moved * ~outside
    probabilities[BACKGROUND] += moved * outside
    probabilities[TUMOR] -= moved


def _with_rim(labels: np.ndarray, chosen: np.ndarray) -> torch.Tensor:
    """Some tumors and one voxel around, since interpolation to a finer grid would leave a rim; no other tumor."""
    here = np.isin(labels, chosen)
    return torch.from_numpy(ndimage.binary_dilation(here, np.ones((3, 3, 3))) & ((labels == 0) | here))


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
