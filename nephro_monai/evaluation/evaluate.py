"""Compares a folder of predictions with a data folder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nephro_monai.errors import TrainingDataError
from nephro_monai.evaluation.case_metrics import CaseMetrics, evaluate_case
from nephro_monai.evaluation.cohort import Cohort, PredictedCase, TruthCase, find_predictions, read_cohort
from nephro_monai.evaluation.summary import summarize

__all__ = ["evaluate_cohort"]


def evaluate_cohort(
    predictions: Path,
    data: Path,
    only_predicted: bool = False,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
    only: Collection[str] | None = None,
) -> tuple[list[CaseMetrics], dict[str, Any]]:
    """Compares every case of a data folder with its prediction, one case per worker in memory at a time.

    Args:
        predictions: Output of `nephro predict`, or a folder with prediction_00000.nii.gz files.
        data: Data folder in KiTS19's layout.
        only_predicted: Whether cases without any prediction are left out instead of scoring 0.
        progress: Called with cases done and cases in all.
        workers: Cases compared at once.
        only: Names of the cases to compare, as if the folders held no others; None for all.

    Returns:
        A row per case, predictions without a truth included as "unscored", and the summary.

    Raises:
        TrainingDataError: If a folder holds nothing to compare, or no case is in both.
        ValueError: If there is no worker.
    """
    if workers < 1:
        raise ValueError(f"At least one worker is needed, got {workers}.")
    found, cohort = find_predictions(predictions), read_cohort(data)
    if only is not None:
        found = {name: prediction for name, prediction in found.items() if name in only}
        cohort = Cohort(cohort.folder, tuple(case for case in cohort.cases if case.name in only), cohort.notes)
    names = {case.name for case in cohort.cases}
    if not names & set(found):
        raise TrainingDataError(
            f"No case is both in {predictions} ({', '.join(sorted(found)[:3])}, ...) and in {data} "
            f"({', '.join(sorted(names)[:3])}, ...). Give the data that was predicted."
        )
    cases = tuple(case for case in cohort.cases if case.name in found or not only_predicted)
    rows = []
    for done, row in enumerate(_rows(cases, found, workers), 1):
        rows.append(row)
        if progress is not None:
            progress(done, len(cases))
    rows += [
        CaseMetrics(name, "unscored", f"There is no true label map for it in {data}.")
        for name in sorted(set(found) - names)
    ]
    return rows, summarize(rows, Cohort(cohort.folder, cases, cohort.notes))


def _rows(cases: Sequence[TruthCase], found: dict[str, PredictedCase], workers: int) -> Iterator[CaseMetrics]:
    """In order; threads suffice, since reading and searching trees release Python's lock."""
    if workers == 1:
        yield from (evaluate_case(case, found.get(case.name)) for case in cases)
        return
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(lambda case: evaluate_case(case, found.get(case.name)), cases)
