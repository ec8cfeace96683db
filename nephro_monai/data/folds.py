"""The five groups of a cross-validation, about equal in images, no patient split (Zhou 2019, "Training Details")."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["assign_folds", "with_folds"]


def assign_folds(images: Sequence[int], folds: int = 5) -> list[int]:
    """Fills the groups one after another with patients, in the given order.

    A group is full when it has the average number of images. A patient who does not fit into the room left goes to the
    next group where their images exceed twice that room, else into the current one, which is full then. Beyond the
    paper's text, so that no group stays empty: the first patient of a group always enters it, and the last patients
    open the groups that would be left over.

    Args:
        images: Images of each patient, in the (random) order of assignment.
        folds: Number of groups.

    Returns:
        Group of each patient, 0 to folds - 1, never falling along the list.

    Raises:
        ValueError: If there are fewer patients than groups, a patient without images, or fewer than two groups.
    """
    if folds < 2 or len(images) < folds or min(images, default=0) < 1:
        raise ValueError(
            f"A cross-validation needs at least 2 groups, a patient for each, and images of every patient; got {folds} "
            f"groups and {len(images)} patients with {min(images, default=0)} or more images."
        )
    average = sum(images) / folds
    assigned: list[int] = []
    group, inside = 0, 0
    for place, count in enumerate(images):
        room = average - inside
        left_over = len(images) - place <= folds - 1 - group
        if inside > 0 and group < folds - 1 and (count > 2 * max(room, 0.0) or left_over):
            group, inside = group + 1, 0
        assigned.append(group)
        inside += count
    return assigned


def with_folds(
    images: Sequence[dict[str, Any]],
    folds: int = 5,
    seed: int = 0,
    cases: Sequence[dict[str, Any]] = (),
) -> list[dict[str, Any]]:
    """Gives every image the group of its patient, patients in random order.

    The same patients, image counts and seed give the same groups, in whatever order the images come.

    Args:
        images: One dictionary per image, with its `case`.
        folds: Number of groups.
        seed: Of the patients' order.
        cases: From `list_training_cases`: says of a `case` which `patient` it is of. Others are patients of their own.

    Returns:
        The images in their order, each with its group under `fold`.

    Raises:
        ValueError: As `assign_folds`.
    """
    patient_of = {case["case"]: case.get("patient") or case["case"] for case in cases}
    owners = [str(patient_of.get(image["case"], image["case"])) for image in images]
    counts = Counter(owners)
    patients = sorted(counts)
    order = [patients[i] for i in np.random.default_rng(seed).permutation(len(patients))]
    groups = dict(zip(order, assign_folds([counts[patient] for patient in order], folds), strict=True))
    return [{**image, "fold": groups[owner]} for image, owner in zip(images, owners, strict=True)]
