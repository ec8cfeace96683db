"""KiTS23's hierarchical classes and the distances between surfaces."""

from __future__ import annotations

import numpy as np

from nephro_monai.constants import KIDNEY, TUMOR
from nephro_monai.evaluation.label_map import LabelMap
from nephro_monai.metrics.dice import dice
from nephro_monai.metrics.surface import hausdorff95_mm, surface_dice

__all__ = ["CYST", "KITS23_REGIONS", "score_regions"]

CYST = 3
"""Label of KiTS21 and KiTS23; KiTS19 has none, so that its masses are its tumors."""

KITS23_REGIONS: dict[str, tuple[tuple[int, ...], float]] = {
    "kidney_and_masses": ((KIDNEY, TUMOR, CYST), 1.0330772532390826),
    "masses": ((TUMOR, CYST), 1.1328796488598762),
    "tumor": ((TUMOR,), 1.1498198361434828),
}
"""Labels and tolerance of the surface Dice in mm, as KiTS21 derived them from annotators' disagreement."""


def score_regions(prediction: LabelMap, truth: LabelMap) -> dict[str, float | None]:
    """Hierarchical Dice and surface Dice of KiTS23, and 95 % Hausdorff distances, under the names of `CaseMetrics`.

    Args:
        prediction: Cropped or not.
        truth: On the same grid.
    """
    spacing = truth.spacing_mm
    scores: dict[str, float | None] = {}
    for name, (labels, tolerance_mm) in KITS23_REGIONS.items():
        a, b = (np.isin(m.labels, labels) for m in (prediction, truth))
        scores[f"kits23_{name}_dice"] = dice(a, b)
        scores[f"kits23_{name}_surface_dice"] = surface_dice(a, b, spacing, tolerance_mm)
    for name, labels in (("kidney", (KIDNEY, TUMOR)), ("tumor", (TUMOR,))):
        a, b = (np.isin(m.labels, labels) for m in (prediction, truth))
        scores[f"{name}_hausdorff95_mm"] = hausdorff95_mm(a, b, spacing)
    return scores
