"""How well kidneys are outlined on a scan whose truth is an organ map without tumors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nephro_monai.errors import ScanError
from nephro_monai.evaluation.label_map import read_label_map, same_grid
from nephro_monai.metrics.dice import dice

__all__ = ["OrganOverlap", "compare_with_organ_map"]


@dataclass(frozen=True)
class OrganOverlap:
    """Prediction against the kidneys of an organ map.

    Attributes:
        dice: Of everything predicted (label > 0) and the kidney labels together.
        predicted_ml: Volume of everything predicted.
        true_ml: Volume of the kidney labels.
        covered: Share of each kidney label that is predicted, by label.
    """

    dice: float
    predicted_ml: float
    true_ml: float
    covered: dict[int, float]


def compare_with_organ_map(prediction: Path, truth: Path, kidney_labels: Sequence[int]) -> OrganOverlap:
    """Compares a predicted label map (label > 0) with given labels of an organ map on the same grid.

    Args:
        prediction: Predicted label map, or the folder of a case with segmentation.nii.gz in it.
        truth: Organ map.
        kidney_labels: Labels of the organ map that are kidney, such as 2 and 3.

    Raises:
        ScanError: If a file cannot be read, the grids differ, or a kidney label is not in the organ map.
    """
    predicted = read_label_map(prediction / "segmentation.nii.gz" if prediction.is_dir() else prediction)
    organs = read_label_map(truth)
    same_grid(predicted, organs)
    absent = [label for label in kidney_labels if not (organs.labels == label).any()]
    if absent or not kidney_labels:
        present = ", ".join(map(str, np.unique(organs.labels).tolist()))
        raise ScanError(
            f"{truth} has no voxel of label {', '.join(map(str, absent)) or '(none given)'}; it has {present}."
        )
    kidneys, found = np.isin(organs.labels, kidney_labels), predicted.labels > 0
    return OrganOverlap(
        dice=dice(found, kidneys),
        predicted_ml=int(found.sum()) * organs.voxel_ml,
        true_ml=int(kidneys.sum()) * organs.voxel_ml,
        covered={label: float(found[organs.labels == label].mean()) for label in kidney_labels},
    )
