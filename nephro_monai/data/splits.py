"""Patient-grouped, repeatable splits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold

__all__ = ["Split", "split_cases", "stratified_fold"]


class Split(NamedTuple):
    """Cases for training and for validation; no patient is in both."""

    training: list[dict[str, Any]]
    validation: list[dict[str, Any]]


def split_cases(
    cases: Sequence[dict[str, Any]], validation_fraction: float, seed: int = 0, group_key: str = "patient"
) -> Split:
    """Splits cases by patient; the same cases and seed give the same split, in whatever order they come.

    Args:
        cases: Dictionaries with `case` and, where it is not the same, the group key.
        validation_fraction: Share of patients for validation, at least 0 and below 1; 0 leaves validation empty,
            anything above gives it at least one patient.
        seed: Of the shuffle.
        group_key: What identifies a patient. Cases without it are patients of their own. `list_training_cases` gives
            `patient`, which synthetic cases around the same label map share.

    Raises:
        ValueError: If the fraction is out of range or there are too few patients to split.
    """
    if not 0.0 <= validation_fraction < 1.0:
        raise ValueError(f"validation_fraction must be at least 0 and below 1, got {validation_fraction}.")
    ordered, groups = _in_order(cases, group_key)
    if validation_fraction == 0.0:
        return Split(ordered, [])
    patients = len(set(groups))
    if patients < 2:
        raise ValueError(f"A split needs at least 2 patients, got {patients}; set validation_fraction to 0 for none.")
    held_out = min(patients - 1, max(1, round(patients * validation_fraction)))
    splitter = GroupShuffleSplit(n_splits=1, test_size=held_out, random_state=seed)
    training, validation = next(splitter.split(ordered, groups=groups))
    return Split([ordered[i] for i in training], [ordered[i] for i in validation])


def stratified_fold(
    cases: Sequence[dict[str, Any]],
    fold: int,
    folds: int = 5,
    seed: int = 0,
    label_key: str = "malignant",
    group_key: str = "patient",
) -> Split:
    """One round of a cross-validation that is stratified by malignancy and never splits a patient.

    ColorNephroNet (Obuchowski, "Experiments"): five folds stratified by malignancy. Every case is in the validation of
    exactly one fold; the same cases and seed give the same folds, in whatever order the cases come. By scikit-learn's
    StratifiedGroupKFold.

    Args:
        cases: Dictionaries with `case`, the label and, where it is not the same as the case, the group key.
        fold: Which fold is held out, 0 to `folds` - 1.
        folds: Number of folds.
        seed: Of the shuffle; all folds of one cross-validation need the same.
        label_key: What is stratified by; None (cases without a tumor) counts as a class of its own.
        group_key: What identifies a patient, as in `split_cases`.

    Raises:
        ValueError: If the fold does not exist, or there are fewer patients than folds.
    """
    if folds < 2 or not 0 <= fold < folds:
        raise ValueError(f"folds must be at least 2 and fold within 0..{folds - 1}, got {folds} folds and fold {fold}.")
    ordered, groups = _in_order(cases, group_key)
    patients = len(set(groups))
    if patients < folds:
        raise ValueError(f"{folds} folds need at least {folds} patients, got {patients}; lower the number of folds.")
    labels = [str(case.get(label_key)) for case in ordered]
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    training, validation = list(splitter.split(ordered, labels, groups))[fold]
    return Split([ordered[i] for i in training], [ordered[i] for i in validation])


def _in_order(cases: Sequence[dict[str, Any]], group_key: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Cases in order of their names, and the patient of each."""
    ordered = sorted(cases, key=lambda case: str(case["case"]))
    return ordered, [str(case.get(group_key) or case["case"]) for case in ordered]
