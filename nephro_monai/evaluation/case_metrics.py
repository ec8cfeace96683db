"""One case: prediction against truth."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from nephro_monai.constants import KIDNEY, TUMOR
from nephro_monai.errors import ScanError
from nephro_monai.evaluation.cohort import PredictedCase, PredictedSlice, TruthCase
from nephro_monai.evaluation.kidneys import kidneys_found
from nephro_monai.evaluation.label_map import LabelMap, crop_pair, read_label_map, same_grid
from nephro_monai.evaluation.lesions import Lesion, match_lesions
from nephro_monai.evaluation.regions import CYST, score_regions
from nephro_monai.metrics.dice import dice_from_counts, label_counts

__all__ = ["COLUMNS", "TUMOR_FOUND_SHARE", "CaseMetrics", "evaluate_case"]

TUMOR_FOUND_SHARE = 0.1
"""A tumor counts as found if at least this share of its voxels is predicted as tumor."""

COLUMNS = (
    "case", "kidney_dice", "tumor_dice", "composite", "status", "reason",
    "kits23_kidney_and_masses_dice", "kits23_masses_dice", "kits23_tumor_dice",
    "kits23_kidney_and_masses_surface_dice", "kits23_masses_surface_dice", "kits23_tumor_surface_dice",
    "kidney_hausdorff95_mm", "tumor_hausdorff95_mm", "kidney_ml", "predicted_kidney_ml", "kidney_volume_error_ml",
    "tumor_ml", "predicted_tumor_ml", "tumor_volume_error_ml", "kidneys", "kidneys_found", "diameter_mm",
    "tumor_found", "lesions_true", "lesions_found", "lesions_predicted", "lesions_false", "malignant", "verdict",
    "probability", "slices", "slices_right", "seconds",
)  # fmt: skip
"""Of metrics.csv; attributes of `CaseMetrics`."""


@dataclass(frozen=True)
class CaseMetrics:
    """A row of the table.

    A case without a usable prediction scores 0 in every Dice, has found nothing, and its verdict is wrong. A case
    without a usable truth ("unscored") has None throughout and enters no mean.

    Attributes:
        case: Name.
        status: "done", "missing" (no prediction), "failed" (its prediction is unusable) or "unscored".
        reason: Why it is not "done", or what is doubtful about it.
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
        kits23_kidney_and_masses_dice: Dice of labels 1, 2 and 3.
        kits23_masses_dice: Dice of labels 2 and 3 (3 is a cyst in KiTS21 and KiTS23).
        kits23_tumor_dice: Dice of label 2.
        kits23_kidney_and_masses_surface_dice: Surface Dice at KiTS23's tolerance; the next two likewise.
        kits23_masses_surface_dice: Of labels 2 and 3.
        kits23_tumor_surface_dice: Of label 2.
        kidney_hausdorff95_mm: 95 % Hausdorff distance of label > 0; None if either is empty.
        tumor_hausdorff95_mm: The same of label 2.
        kidney_ml: True volume of label > 0.
        predicted_kidney_ml: Predicted volume of label > 0.
        lesions: The matched tumors of truth and prediction.
        classified: Classified slices that show tumor in the truth.
        slices_off_tumor: How many other slices were classified; they have no true class.
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
    kits23_kidney_and_masses_dice: float | None = None
    kits23_masses_dice: float | None = None
    kits23_tumor_dice: float | None = None
    kits23_kidney_and_masses_surface_dice: float | None = None
    kits23_masses_surface_dice: float | None = None
    kits23_tumor_surface_dice: float | None = None
    kidney_hausdorff95_mm: float | None = None
    tumor_hausdorff95_mm: float | None = None
    kidney_ml: float | None = None
    predicted_kidney_ml: float | None = None
    lesions: tuple[Lesion, ...] = field(default=(), repr=False)
    classified: tuple[PredictedSlice, ...] = field(default=(), repr=False)
    slices_off_tumor: int = 0

    @property
    def has_tumor(self) -> bool:
        """Whether the true label map shows a tumor."""
        return bool(self.tumor_ml)

    @property
    def kidney_volume_error_ml(self) -> float | None:
        """Predicted minus true volume of label > 0."""
        return _difference(self.predicted_kidney_ml, self.kidney_ml)

    @property
    def tumor_volume_error_ml(self) -> float | None:
        """Predicted minus true volume of label 2."""
        return _difference(self.predicted_tumor_ml, self.tumor_ml)

    @property
    def lesions_true(self) -> int | None:
        """True tumors."""
        return self._lesions("true")

    @property
    def lesions_found(self) -> int | None:
        """Of these, found."""
        return self._lesions("true", hit=True)

    @property
    def lesions_predicted(self) -> int | None:
        """Predicted tumors."""
        return self._lesions("predicted")

    @property
    def lesions_false(self) -> int | None:
        """Of these, where there is none."""
        return self._lesions("predicted", hit=False)

    @property
    def slices(self) -> int | None:
        """Classified slices that show the true tumor."""
        return len(self.classified) or None

    @property
    def slices_right(self) -> int | None:
        """Of these, with the right vote; None where malignancy is not known."""
        if not self.classified or self.malignant is None:
            return None
        return sum(s.vote == ("malignant" if self.malignant else "benign") for s in self.classified)

    def _lesions(self, kind: str, hit: bool | None = None) -> int | None:
        if self.status == "unscored":
            return None
        return sum(x.kind == kind and hit in (None, x.hit) for x in self.lesions)


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
    prediction, truth, corner = crop_pair(prediction, truth)
    counts = label_counts(prediction.labels, truth.labels)
    kidney, tumor = dice_from_counts(counts, (KIDNEY, TUMOR)), dice_from_counts(counts, (TUMOR,))
    true_voxels = int(counts[TUMOR].sum())
    tumor_found = int(counts[TUMOR, TUMOR]) >= TUMOR_FOUND_SHARE * true_voxels if true_voxels else None
    found, there = kidneys_found(prediction.labels, truth.labels, truth.spacing_mm)
    classified, off_tumor = _scored_slices(predicted.slices, truth, corner)
    return CaseMetrics(
        case=truth_case.name, status="done", reason=_doubts(prediction, truth),
        kidney_dice=kidney, tumor_dice=tumor, composite=(kidney + tumor) / 2,
        kidneys=there, kidneys_found=found, tumor_ml=true_voxels * truth.voxel_ml,
        predicted_tumor_ml=int(counts[:, TUMOR].sum()) * truth.voxel_ml, diameter_mm=truth_case.diameter_mm,
        tumor_found=tumor_found, malignant=truth_case.malignant,
        verdict="missed" if tumor_found is False and predicted.verdict else predicted.verdict,
        probability=predicted.probability, seconds=predicted.seconds,
        kidney_ml=int(counts[[KIDNEY, TUMOR]].sum()) * truth.voxel_ml,
        predicted_kidney_ml=int(counts[:, [KIDNEY, TUMOR]].sum()) * truth.voxel_ml,
        lesions=match_lesions(truth_case.name, prediction, truth),
        classified=classified, slices_off_tumor=off_tumor,
        **score_regions(prediction, truth),
    )  # fmt: skip


def _without_prediction(
    truth_case: TruthCase, truth: LabelMap, status: Literal["missing", "failed"], reason: str
) -> CaseMetrics:
    """The row of a case that found nothing, as if its prediction were all wrong."""
    nothing = LabelMap(np.zeros_like(truth.labels), truth.affine)
    row = _compared(truth_case, truth, nothing, PredictedCase(None))
    zeros: dict[str, Any] = {name: 0.0 for name in COLUMNS if name.endswith("_dice") or name == "composite"}
    return replace(row, status=status, reason=reason, predicted_tumor_ml=None, predicted_kidney_ml=None, **zeros)


def _scored_slices(
    slices: tuple[PredictedSlice, ...], truth: LabelMap, corner: tuple[int, int, int]
) -> tuple[tuple[PredictedSlice, ...], int]:
    """The slices that show tumor in the truth, and how many do not."""
    axis = truth.axial_axis
    shown = np.flatnonzero((truth.labels == TUMOR).any(axis=tuple(a for a in range(3) if a != axis))) + corner[axis]
    kept = tuple(s for s in slices if s.index in set(shown.tolist()))
    return kept, len(slices) - len(kept)


def _doubts(prediction: LabelMap, truth: LabelMap) -> str:
    lines = [f"Prediction: {note}" for note in prediction.notes] + [f"Truth: {note}" for note in truth.notes]
    if prediction.dtype != "uint8":
        lines.append(f"Prediction: its number type is {prediction.dtype}; the challenge asks for uint8.")
    for whose, label_map in (("Prediction", prediction), ("Truth", truth)):
        if unknown := label_map.unknown_labels():
            what = ", ".join(f"{count} voxels of label {label}" for label, count in unknown.items())
            cyst = "; 3 is a cyst in KiTS23's figures" if CYST in unknown else ""
            lines.append(f"{whose}: {what}, taken for background (allowed are 0, 1 and 2{cyst}).")
    return " ".join(lines)


def _difference(predicted: float | None, true: float | None) -> float | None:
    return None if predicted is None or true is None else predicted - true
