"""How good verdicts are, with "undetermined" counted as wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import recall_score, roc_auc_score

from nephro_monai.constants import CLASS_NAMES

__all__ = ["VerdictScores", "score_verdicts"]


@dataclass(frozen=True)
class VerdictScores:
    """Scores of verdicts on patients; None where there is nothing to score.

    Attributes:
        n: Patients.
        n_malignant: Of these, patients with a malignant tumor.
        balanced_accuracy: Mean of sensitivity and specificity; None unless both classes are there.
        accuracy: Share of right verdicts. Always answering "malignant" scores 0.91 on KiTS19.
        sensitivity: Share of malignant tumors called malignant.
        specificity: Share of benign tumors called benign (called undetermined is wrong here too).
        undetermined_rate: Share of patients without a call.
        auc: Area under the ROC curve of the mean probability, over the patients that have one.
        n_auc: How many those are.
    """

    n: int
    n_malignant: int
    balanced_accuracy: float | None
    accuracy: float | None
    sensitivity: float | None
    specificity: float | None
    undetermined_rate: float | None
    auc: float | None
    n_auc: int


def score_verdicts(
    malignant: Sequence[bool], verdicts: Sequence[str | None], probabilities: Sequence[float | None] | None = None
) -> VerdictScores:
    """Scores verdicts against the truth. Whatever is not the true class is wrong: undetermined, missed, None.

    Args:
        malignant: The truth per patient.
        verdicts: "malignant", "benign", or anything else for no call.
        probabilities: Of malignancy, None where there is none.

    Raises:
        ValueError: If the lengths differ.
    """
    if len(malignant) != len(verdicts) or (probabilities is not None and len(probabilities) != len(malignant)):
        raise ValueError(f"One verdict per patient is needed, got {len(verdicts)} for {len(malignant)} patients.")
    truth = [CLASS_NAMES[bool(m)] for m in malignant]
    calls = [verdict if verdict in CLASS_NAMES else "no call" for verdict in verdicts]
    specificity, sensitivity = _recalls(truth, calls)
    both = specificity is not None and sensitivity is not None
    auc, n_auc = _auc(malignant, probabilities or [])
    return VerdictScores(
        n=len(truth),
        n_malignant=sum(map(bool, malignant)),
        balanced_accuracy=(specificity + sensitivity) / 2 if both else None,  # type: ignore[operator]
        accuracy=sum(t == c for t, c in zip(truth, calls, strict=True)) / len(truth) if truth else None,
        sensitivity=sensitivity,
        specificity=specificity,
        undetermined_rate=calls.count("no call") / len(calls) if calls else None,
        auc=auc,
        n_auc=n_auc,
    )


def _recalls(truth: list[str], calls: list[str]) -> tuple[float | None, float | None]:
    """Recall of benign and of malignant patients; None for a class that is not there."""
    if not truth:
        return None, None
    recalls = recall_score(truth, calls, labels=list(CLASS_NAMES), average=None, zero_division=np.nan)
    benign, malignant = (None if np.isnan(recall) else float(recall) for recall in recalls)
    return benign, malignant


def _auc(malignant: Sequence[bool], probabilities: Sequence[float | None]) -> tuple[float | None, int]:
    known = [(bool(m), p) for m, p in zip(malignant, probabilities, strict=False) if p is not None]
    if len({m for m, _ in known}) < len(CLASS_NAMES):
        return None, len(known)
    return float(roc_auc_score([m for m, _ in known], [p for _, p in known])), len(known)
