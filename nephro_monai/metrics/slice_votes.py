"""Scores of slice classifiers: per slice, per patient by vote, and on each patient's largest slice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from nephro_monai.constants import CLASS_NAMES
from nephro_monai.metrics.classification import score_verdicts

__all__ = ["patient_scores"]


def patient_scores(
    cases: Sequence[str],
    probabilities: np.ndarray,
    targets: np.ndarray,
    largest: np.ndarray | None = None,
) -> dict[str, float]:
    """Scores of the slices, of the patients' majority votes, and of the patients' largest slices.

    ColorNephroNet (Obuchowski) tests on one slice per patient, the one with the largest tumor area, in all its tables,
    and reports F1 without naming the positive class: so both are given, and beside them the F1 of always answering
    "malignant" (0.846 on its 281 malignant and 102 benign cases).

    Args:
        cases: Patient of each slice.
        probabilities: Of malignant, per slice.
        targets: 0 benign, 1 malignant, per slice.
        largest: True for each patient's largest slice; None leaves those scores out.

    Returns:
        `slice_auc`, `slice_balanced_accuracy`; `patient_balanced_accuracy`, `vote_f1_malignant` and `vote_f1_benign` of
        the majority votes (a tied vote counts as wrong, because the cascade leaves it undetermined);
        `always_malignant_f1`; and `largest_accuracy`, `largest_f1_malignant` and `largest_f1_benign`. Empty if all
        slices are of one class.
    """
    if len(np.unique(targets)) < 2:
        return {}
    names, patient_of_slice = np.unique(np.asarray(cases), return_inverse=True)
    share = np.bincount(patient_of_slice, weights=probabilities > 0.5) / np.bincount(patient_of_slice)
    truth = np.zeros(len(names), dtype=bool)
    truth[patient_of_slice] = targets.astype(bool)
    vote = score_verdicts(truth.tolist(), [None if s == 0.5 else CLASS_NAMES[int(s > 0.5)] for s in share])
    always = score_verdicts(truth.tolist(), [CLASS_NAMES[1]] * len(truth))
    scores = {
        "slice_auc": roc_auc_score(targets, probabilities),
        "slice_balanced_accuracy": balanced_accuracy_score(targets, probabilities > 0.5),
        "patient_balanced_accuracy": vote.balanced_accuracy,
        "vote_f1_malignant": vote.f1,
        "vote_f1_benign": vote.f1_benign,
        "always_malignant_f1": always.f1,
    }
    if largest is not None:
        chosen = np.flatnonzero(largest)
        calls = [CLASS_NAMES[int(p > 0.5)] for p in probabilities[chosen]]
        single = score_verdicts(targets[chosen].astype(bool).tolist(), calls)
        scores["largest_accuracy"] = single.accuracy
        scores["largest_f1_malignant"], scores["largest_f1_benign"] = single.f1, single.f1_benign
    return {name: float(value) for name, value in scores.items() if value is not None}
