"""The splits of an experiment: which cases are held out in which round."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nephro_monai.data import Split, list_training_cases, split_cases, stratified_fold
from nephro_monai.data.fold_plan import dataset_fingerprint
from nephro_monai.errors import TrainingDataError
from nephro_monai.evaluation.experiment_plan import SplitPlan

__all__ = ["Round", "plan_rounds"]


@dataclass(frozen=True)
class Round:
    """One split of the cases.

    Attributes:
        seed: Of the split and of the training.
        fold: Number within the seed.
        held_out: Cases from `list_training_cases` that no training sees.
        training: Names of the others.
        fingerprint: Of the data set, from `dataset_fingerprint`.
    """

    seed: int
    fold: int
    held_out: tuple[dict[str, Any], ...]
    training: tuple[str, ...]
    fingerprint: str = ""

    @property
    def names(self) -> list[str]:
        """Names of the held-out cases."""
        return [str(case["case"]) for case in self.held_out]


def plan_rounds(data: Path, split: SplitPlan, seeds: int) -> list[Round]:
    """The splits of all seeds; the same data and seeds give the same splits.

    Raises:
        TrainingDataError: If there are too few patients, or no class has a case for every fold.
    """
    if seeds < 1:
        raise TrainingDataError(f"An experiment needs at least one seed, got {seeds}.")
    cases = list_training_cases(data)
    patients = len({case["patient"] for case in cases})
    if patients < max(2, split.folds, split.cases + 1):
        raise TrainingDataError(f"{data} has {patients} patients, too few for this table: {split}.")
    fingerprint = dataset_fingerprint(cases)
    rounds = []
    for seed in range(seeds):
        for fold in range(split.rounds):
            if split.folds:
                parts = _fold(cases, fold, split, seed)
            else:
                parts = split_cases(cases, split.cases / patients if split.cases else split.fraction, seed)
            names = tuple(str(case["case"]) for case in parts.training)
            rounds.append(Round(seed, fold, tuple(parts.validation), names, fingerprint))
    return rounds


def _fold(cases: Sequence[dict[str, Any]], fold: int, split: SplitPlan, seed: int) -> Split:
    try:
        return stratified_fold(cases, fold, split.folds, seed)
    except ValueError as error:  # scikit-learn's, where no class has as many cases as there are folds
        counts = Counter(case.get("malignant") for case in cases)
        raise TrainingDataError(
            f"{split.folds} folds stratified by malignancy need {split.folds} cases of one class; there are "
            f"{counts[True]} malignant, {counts[False]} benign and {counts[None]} without a class. Add cases."
        ) from error
