"""One case: prediction against truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from nephro_monai.constants import KIDNEY, TUMOR
from nephro_monai.errors import ScanError
from nephro_monai.evaluation.cohort import PredictedCase, TruthCase
from nephro_monai.evaluation.kidneys import kidneys_found
from nephro_monai.evaluation.label_map import LabelMap, read_label_map, same_grid
from nephro_monai.metrics.dice import dice_from_counts, label_counts

__all__ = ["TUMOR_FOUND_SHARE", "CaseMetrics", "evaluate_case"]

TUMOR_FOUND_SHARE = 0.1
"""A tumor counts as found if at least this share of its voxels is predicted as tumor."""


@dataclass(frozen=True)
class CaseMetrics:
    """A row of the table.

    A case without a usable prediction scores 0 in every Dice, has found nothing, and its verdict is wrong. A case
    without a usable truth ("unscored") has None throughout and enters no mean.

    Attributes:
        case: Name.
        status: "done", "missing" (no prediction), "failed" (its prediction is unusable) or "unscored".
        reason: Why it is not "done".
        kidney_dice: Dice of label > 0.
        tumor_dice: Dice of label 2 (1 if there is none in either).
        composite: Mean of both.
        kidneys: True kidneys.
        kidneys_found: Of these, found.
        tumor_ml: True tumor volume.
        predicted_tumor_ml: Predicted tumor volume.
        diameter_mm: Size of the tumor according to kits.json.
        tumor_found: Whether the tumor was found; None without a tumor.
        malignant: The truth according to kits.json.
        verdict: As predicted; "missed" if there is a tumor that was not found.
        probability: Predicted mean probability of malignancy.
        seconds: Time of the run on the case.
    """

    case: str
    status: Literal["done", "missing", "failed", "unscored"]
    reason: str = ""
    kidney_dice: float | None = None
    tumor_dice: float | None = None
    composite: float | None = None
    kidneys: int | None = None
    kidneys_found: int | None = None
    tumor_ml: float | None = None
    predicted_tumor_ml: float | None = None
    diameter_mm: float | None = None
    tumor_found: bool | None = None
    malignant: bool | None = None
    verdict: str | None = None
    probability: float | None = None
    seconds: float | None = None

    @property
    def has_tumor(self) -> bool:
        """Whether the true label map shows a tumor."""
        return bool(self.tumor_ml)


def evaluate_case(truth_case: TruthCase, predicted: PredictedCase | None) -> CaseMetrics:
    """Compares one case; what cannot be read or compared becomes a row with the reason.

    Args:
        truth_case: The case of the data folder.
        predicted: What the run left of it; None if there is nothing.
    """
    try:
        truth = read_label_map(truth_case.segmentation)
    except ScanError as error:
        return CaseMetrics(truth_case.name, "unscored", str(error))
    if predicted is None:
        return _without_prediction(truth_case, truth, "missing", "There is no prediction for this case.")
    if predicted.segmentation is None:
        return _without_prediction(truth_case, truth, "failed", predicted.reason)
    try:
        prediction = read_label_map(predicted.segmentation)
        same_grid(prediction, truth)
    except ScanError as error:
        return _without_prediction(truth_case, truth, "failed", str(error))
    return _compared(truth_case, truth, prediction, predicted)


def _compared(truth_case: TruthCase, truth: LabelMap, prediction: LabelMap, predicted: PredictedCase) -> CaseMetrics:
    counts = label_counts(prediction.labels, truth.labels)
    kidney, tumor = dice_from_counts(counts, (KIDNEY, TUMOR)), dice_from_counts(counts, (TUMOR,))
    true_voxels, predicted_voxels = int(counts[TUMOR].sum()), int(counts[:, TUMOR].sum())
    tumor_found = int(counts[TUMOR, TUMOR]) >= TUMOR_FOUND_SHARE * true_voxels if true_voxels else None
    found, there = kidneys_found(prediction.labels, truth.labels, truth.spacing_mm)
    return CaseMetrics(
        case=truth_case.name, status="done", kidney_dice=kidney, tumor_dice=tumor, composite=(kidney + tumor) / 2,
        kidneys=there, kidneys_found=found, tumor_ml=true_voxels * truth.voxel_ml,
        predicted_tumor_ml=predicted_voxels * truth.voxel_ml, diameter_mm=truth_case.diameter_mm,
        tumor_found=tumor_found, malignant=truth_case.malignant,
        verdict="missed" if tumor_found is False and predicted.verdict else predicted.verdict,
        probability=predicted.probability, seconds=predicted.seconds,
    )  # fmt: skip


def _without_prediction(
    truth_case: TruthCase, truth: LabelMap, status: Literal["missing", "failed"], reason: str
) -> CaseMetrics:
    """The row of a case that found nothing, as if its prediction were all wrong."""
    nothing = LabelMap(truth.labels * 0, truth.affine)
    row = _compared(truth_case, truth, nothing, PredictedCase(None))
    return replace(
        row, status=status, reason=reason, kidney_dice=0.0, tumor_dice=0.0, composite=0.0, predicted_tumor_ml=None
    )
