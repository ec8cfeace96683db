"""A split whose held-out cases are named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nephro_monai.data.splits import Split
from nephro_monai.errors import TrainingDataError

__all__ = ["listed_split"]


def listed_split(cases: Sequence[dict[str, Any]], held_out: Sequence[str], group_key: str = "patient") -> Split:
    """Holds out the named cases, for trainings that must share one split.

    Args:
        cases: Dictionaries with `case` and, where it is not the same, the group key.
        held_out: Names of cases for validation.
        group_key: What identifies a patient, as in `split_cases`.

    Raises:
        TrainingDataError: If a named case is not there, nothing is left to train on, or a patient would be on both
            sides.
    """
    names = set(held_out)
    if missing := sorted(names - {str(case["case"]) for case in cases}):
        raise TrainingDataError(
            f"The split holds out {', '.join(missing[:3])} ({len(missing)} cases) that the data folder does not have; "
            "give the folder that the split was made for."
        )
    training = [case for case in cases if case["case"] not in names]
    validation = [case for case in cases if case["case"] in names]
    if not training:
        raise TrainingDataError("The split holds out every case, so that none is left to train on; hold out fewer.")
    owners = [{str(case.get(group_key) or case["case"]) for case in side} for side in (training, validation)]
    if shared := sorted(owners[0] & owners[1]):
        raise TrainingDataError(
            f"The split has cases of the patient {shared[0]} on both sides ({len(shared)} such patients); hold out all "
            "cases of a patient or none."
        )
    return Split(training, validation)
