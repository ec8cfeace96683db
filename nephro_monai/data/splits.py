"""Patient-grouped, repeatable splits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sklearn.model_selection import GroupShuffleSplit

__all__ = ["Split", "split_cases"]


class Split(NamedTuple):
    """Cases for training and for validation; no patient is in both."""

    training: list[dict[str, Any]]
    validation: list[dict[str, Any]]


def split_cases(
    cases: Sequence[dict[str, Any]], validation_fraction: float, seed: int = 0, group_key: str = "case"
) -> Split:
    """Splits cases by patient; the same cases and seed give the same split, in whatever order they come.

    Args:
        cases: Dictionaries with `case` and the group key.
        validation_fraction: Share of patients for validation, at least 0 and below 1; 0 leaves validation empty,
            anything above gives it at least one patient.
        seed: Of the shuffle.
        group_key: What identifies a patient ("case" in KiTS19: one scan per patient).

    Raises:
        ValueError: If the fraction is out of range or there are too few patients to split.
    """
    if not 0.0 <= validation_fraction < 1.0:
        raise ValueError(f"validation_fraction must be at least 0 and below 1, got {validation_fraction}.")
    ordered = sorted(cases, key=lambda case: str(case["case"]))
    if validation_fraction == 0.0:
        return Split(ordered, [])
    groups = [str(case[group_key]) for case in ordered]
    patients = len(set(groups))
    if patients < 2:
        raise ValueError(f"A split needs at least 2 patients, got {patients}; set validation_fraction to 0 for none.")
    held_out = min(patients - 1, max(1, round(patients * validation_fraction)))
    splitter = GroupShuffleSplit(n_splits=1, test_size=held_out, random_state=seed)
    training, validation = next(splitter.split(ordered, groups=groups))
    return Split([ordered[i] for i in training], [ordered[i] for i in validation])
