"""How good verdicts are, with "undetermined" counted as wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from nephro_monai.constants import CLASS_NAMES

__all__ = ["VerdictScores", "confusion_counts", "confusion_scores", "score_verdicts"]


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
        ppv: Share of the calls "malignant" that are right.
        npv: Share of the calls "benign" that are right.
        f1: F1 of the class malignant; a malignant tumor without a call is missed.
        f1_benign: F1 of the class benign.
        mcc: Matthews correlation coefficient, with no call as a third answer (Gorodkin 2004).
        called_accuracy: Share of the calls that are right; patients without a call are left out.
        called_benign: Share of malignant tumors called benign; those without a call are not among them.
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
    ppv: float | None = None
    npv: float | None = None
    f1: float | None = None
    f1_benign: float | None = None
    mcc: float | None = None
    called_accuracy: float | None = None
    called_benign: float | None = None


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
    if probabilities is not None and len(probabilities) != len(malignant):
        raise ValueError(f"One probability per patient is needed, got {len(probabilities)} for {len(malignant)}.")
    counts = confusion_counts(malignant, verdicts)
    values = {name: float(value) for name, value in confusion_scores(counts).items()}
    auc, n_auc = _auc(malignant, probabilities or [])
    return VerdictScores(
        n=len(malignant),
        n_malignant=int(counts[1].sum()),
        auc=auc,
        n_auc=n_auc,
        **{name: None if np.isnan(value) else value for name, value in values.items()},
    )


def confusion_counts(malignant: Sequence[bool], verdicts: Sequence[str | None]) -> np.ndarray:
    """Counts verdicts.

    Args:
        malignant: The truth per patient.
        verdicts: "malignant", "benign", or anything else for no call.

    Returns:
        (2, 3) rows by truth (benign, malignant), columns by call (benign, malignant, no call).

    Raises:
        ValueError: If the lengths differ.
    """
    if len(malignant) != len(verdicts):
        raise ValueError(f"One verdict per patient is needed, got {len(verdicts)} for {len(malignant)} patients.")
    counts = np.zeros((2, 3), int)
    for truth, verdict in zip(malignant, verdicts, strict=True):
        call = CLASS_NAMES.index(verdict) if verdict in CLASS_NAMES else len(CLASS_NAMES)
        counts[int(bool(truth)), call] += 1
    return counts


def confusion_scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of confusion matrices, many at once (one per bootstrap sample, say).

    Args:
        counts: (..., 2, 3) as from `confusion_counts`.

    Returns:
        (...) by the names of `VerdictScores`; NaN where a score is undefined (0 divided by 0).
    """
    counts = np.asarray(counts, float)
    (tn, fp, benign_open), (fn, tp, malignant_open) = (
        tuple(counts[..., row, column] for column in range(3)) for row in range(2)
    )
    total = counts.sum(axis=(-2, -1))
    benign, malignant = counts[..., 0, :].sum(axis=-1), counts[..., 1, :].sum(axis=-1)
    sensitivity, specificity = _ratio(tp, malignant), _ratio(tn, benign)
    columns = counts.sum(axis=-2)
    covariance = (tp + tn) * total - columns[..., 0] * benign - columns[..., 1] * malignant
    spread = (total**2 - (columns**2).sum(axis=-1)) * (total**2 - benign**2 - malignant**2)
    return {
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "accuracy": _ratio(tp + tn, total),
        "sensitivity": sensitivity,
        "specificity": specificity,
        "undetermined_rate": _ratio(benign_open + malignant_open, total),
        "ppv": _ratio(tp, tp + fp),
        "npv": _ratio(tn, tn + fn),
        "f1": _ratio(2 * tp, malignant + tp + fp),
        "f1_benign": _ratio(2 * tn, benign + tn + fn),
        "mcc": _ratio(covariance, np.sqrt(spread)),
        "called_accuracy": _ratio(tp + tn, tp + tn + fp + fn),
        "called_benign": _ratio(fn, malignant),
    }


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.asarray(whole) > 0, np.divide(part, whole), np.nan)


def _auc(malignant: Sequence[bool], probabilities: Sequence[float | None]) -> tuple[float | None, int]:
    known = [(bool(m), p) for m, p in zip(malignant, probabilities, strict=False) if p is not None]
    if len({m for m, _ in known}) < len(CLASS_NAMES):
        return None, len(known)
    return float(roc_auc_score([m for m, _ in known], [p for _, p in known])), len(known)
