"""What each figure of an evaluation means, in words that stand beside it."""

from __future__ import annotations

from nephro_monai.evaluation.bootstrap import LEVEL, RESAMPLES
from nephro_monai.evaluation.case_metrics import TUMOR_FOUND_SHARE
from nephro_monai.evaluation.kidneys import KIDNEY_FOUND_DICE
from nephro_monai.evaluation.lesions import FROC_RATES, LESION_SHARE, SMALLEST_LESION_ML
from nephro_monai.evaluation.regions import KITS23_REGIONS

__all__ = ["DEFINITIONS"]

_TOLERANCES = ", ".join(f"{tolerance:.2f} mm" for _, tolerance in KITS23_REGIONS.values())

DEFINITIONS = {
    "kidney_dice": "Dice of label > 0 (kidney with its tumor), mean over cases, as KiTS19's script has it; 1 where it "
    "is empty in both (the script would divide by zero), 0 where in one.",
    "tumor_dice": "Dice of label 2, mean over all cases; 1 where neither truth nor prediction has a tumor, "
    "0 where only one of them has.",
    "tumor_dice_with_tumor": "The same over the cases that have a tumor.",
    "composite": "Mean of kidney and tumor Dice, as KiTS19 ranks.",
    "kits23": "KiTS23's hierarchical classes (kidney and masses; masses; tumor): Dice, and surface Dice at "
    f"{_TOLERANCES}; the same rule for empty masks. KiTS19 labels no cysts, so that its masses are its tumors.",
    "hausdorff95_mm": "The larger of both directions' 95th percentiles of the distances between edge voxels, over the "
    "cases in which it is defined (neither mask empty).",
    "volume_error_ml": "Predicted minus true volume (signed), and its absolute value, over cases with a prediction.",
    "both_kidneys_found": "Share of cases in which every true kidney (one or two) was found: "
    f"Dice above {KIDNEY_FOUND_DICE} within its box grown by 20 mm. Kidneys that touch count as one.",
    "tumor_found": f"Share of cases with a tumor in which at least {TUMOR_FOUND_SHARE:.0%} of its voxels are "
    "predicted as tumor.",
    "lesions": f"Connected regions of label 2 with at least {SMALLEST_LESION_ML:g} ml. A true one is found if at least "
    f"{LESION_SHARE:.0%} of it is predicted; a predicted one is right if at least {LESION_SHARE:.0%} of it is tumor. "
    "FROC: recall against false lesions per case while predicted lesions below a growing volume are left out; its "
    f"score is the mean recall at {', '.join(f'{rate:g}' for rate in FROC_RATES)} false lesions per case.",
    "malignancy": "Over the cases with a tumor whose malignancy kits.json knows. Undetermined, missed tumors and "
    "missing verdicts count as wrong. Balanced accuracy is the mean of sensitivity and specificity; the positive class "
    "is malignant; MCC takes no call for a third answer; ECE is the expected calibration error over ten bins. "
    "The probability is the calibrated one where a verdict was calibrated, else the mean over the slices. Accuracy of "
    "the calls leaves out the patients without a call; malignant called benign is the error that a stated sensitivity "
    "keeps small.",
    "look_reader": "Of synthetic CT only, where the records of all tumors hold the looks that were drawn: the AUC "
    "of a reader who knows the look, its kidney's HU, the phase and the diameter, and answers with the posterior "
    "probability under the generator's own shares and ranges, over the patients of the AUC above; share of it "
    "reached: (AUC - 0.5) / (AUC of that reader - 0.5). It bounds what any reader of these scans can reach, and "
    "says nothing about patients.",
    "slices": "The same for slices: those that were classified and show tumor in the truth, with the malignancy of "
    "their patient as truth.",
    "no_tumor": "Over the cases without a tumor: how many got a false tumor, its mean volume, and how many got a "
    "verdict other than undetermined.",
    "without_prediction": "Cases without a usable prediction score 0 and count as wrong everywhere above.",
    "intervals": f"{LEVEL:.0%} intervals: percentiles of {RESAMPLES} bootstrap samples of cases (a case with all its "
    "slices and lesions).",
}
