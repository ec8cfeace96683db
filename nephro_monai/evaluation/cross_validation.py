"""Cross-validates a system: trains it fold by fold and scores it on the cases that each fold held out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nephro_monai.data.fold_plan import FoldPlan, plan_folds, read_fold_plan
from nephro_monai.data.kits19 import list_training_cases
from nephro_monai.engine.devices import available_devices, spread
from nephro_monai.engine.weights import load_bundle_network, provenance
from nephro_monai.errors import TrainingDataError
from nephro_monai.evaluation.case_metrics import CaseMetrics
from nephro_monai.evaluation.cohort import Cohort, read_cohort
from nephro_monai.evaluation.cross_validation_table import CrossValidationResult, write_result
from nephro_monai.evaluation.evaluate import evaluate_cohort
from nephro_monai.evaluation.figures import write_figures
from nephro_monai.evaluation.fold_calibration import CALIBRATION_FILE
from nephro_monai.evaluation.fold_run import FoldJob, fold_folder, run_fold
from nephro_monai.evaluation.fold_settings import (
    FoldSettings,
    check_files,
    check_run,
    folds_were_given,
    kept_bundles,
    settings_by_bundle,
    write_run,
)
from nephro_monai.evaluation.summary import summarize
from nephro_monai.evaluation.tables import write_tables
from nephro_monai.systems import find_system

__all__ = ["FOLDS_FILE", "CrossValidationRun", "cross_validate"]

FOLDS_FILE = "folds.json"


@dataclass(frozen=True)
class CrossValidationRun:
    """Where a cross-validation reads and writes, and on what it runs.

    Attributes:
        data: Data folder in KiTS19's layout.
        out: Folder of the cross-validation; a run that was stopped goes on in it.
        folds_file: Folds of an earlier run on the same data, to compare systems on the same folds; None makes new ones.
        device: auto, cpu or cuda.
        devices: How many CUDA devices at most; None for all.
        progress: Whether bars of training and prediction are drawn.
    """

    data: Path
    out: Path
    folds_file: Path | None = None
    device: str = "auto"
    devices: int | None = None
    progress: bool = True


def cross_validate(
    settings: FoldSettings, run: CrossValidationRun, report: Callable[[str], None] = print
) -> CrossValidationResult:
    """Trains, calibrates, predicts and evaluates every fold, then all together.

    Args:
        settings: What decides over the figures.
        run: Where and on what.
        report: Told what happens, one line each.

    Returns:
        The figures of the folds and of all cases; they are written to the folder too.

    Raises:
        BundleError: If the system, a bundle to keep or a setting is unknown.
        OutputError: If the folder holds a cross-validation with other settings, or cannot be written.
        TrainingDataError: If the data cannot be divided, or the folds are of another data set.
    """
    system = find_system(settings.system)
    own = settings_by_bundle(settings)
    devices = available_devices(run.device, run.devices)
    cases = list_training_cases(run.data)
    check_run(run.out, settings)
    check_files(settings, own, cases)
    plan, given = _plan(settings, run, cases)
    notes = _notes(plan, settings)
    if "classification" in system.tasks:
        _check_classes(plan, cases)
    write_run(run.out, settings, run.data, plan if given else None)
    plan.write(run.out / FOLDS_FILE)
    if given:
        report(
            f"folds are as their file has them (seed {plan.seed}, stratified by {plan.stratify}); --seed, --stratify "
            "and --calibration do not change them"
        )
    for note in notes:
        report(note)
    quiet = len(devices) > 1 or devices[0] != "cpu"
    images = {str(case["case"]): str(case["image"]) for case in cases}
    malignant = {str(case["case"]): case["malignant"] for case in cases}
    jobs = [
        FoldJob(index, fold, run.data, images, malignant, run.out, settings, run.progress and not quiet)
        for index, fold in enumerate(plan.folds)
    ]
    spread(jobs, run_fold, devices, report)
    return _evaluate(settings, run, plan, report)


def _plan(settings: FoldSettings, run: CrossValidationRun, cases: Sequence[dict[str, Any]]) -> tuple[FoldPlan, bool]:
    """The folds of the run that is resumed, those that were given, or new ones; and whether a file gave them."""
    own = run.out / FOLDS_FILE
    if run.folds_file is not None and not run.folds_file.is_file():
        raise TrainingDataError(f"There is no file of folds {run.folds_file}.")
    plans = [(path, read_fold_plan(path, cases)) for path in (own, run.folds_file) if path and path.is_file()]
    for path, plan in plans:
        if len(plan.folds) != settings.folds:
            raise TrainingDataError(f"{path} has {len(plan.folds)} folds, asked for are {settings.folds}.")
        if plan.folds != plans[0][1].folds:
            raise TrainingDataError(
                f"{own} of the run in this folder has other folds than {path}. Leave --folds-file out to go on with "
                "the folds of the run, or give another --out."
            )
    if plans:
        before = folds_were_given(run.out)
        return plans[0][1], before is None or before
    return plan_folds(cases, settings.folds, settings.stratify, settings.seed, settings.calibration_fraction), False


def _check_classes(plan: FoldPlan, cases: Sequence[dict[str, Any]]) -> None:
    """Refuses folds that no classifier can be trained on."""
    kind = {str(case["case"]): case["malignant"] for case in cases}
    for index, fold in enumerate(plan.folds):
        counts = [sum(kind[name] is which for name in fold.training) for which in (False, True)]
        if not all(counts):
            raise TrainingDataError(
                f"Fold {index} would be trained on {counts[0]} benign and {counts[1]} malignant cases; a classifier "
                "needs both. Add cases, or stratify by malignancy."
            )


def _evaluate(
    settings: FoldSettings, run: CrossValidationRun, plan: FoldPlan, report: Callable[[str], None]
) -> CrossValidationResult:
    cohort = read_cohort(run.data)
    every: list[CaseMetrics] = []
    summaries = []
    for index, fold in enumerate(plan.folds):
        report(f"fold {index}: evaluates {len(fold.test)} held-out cases")
        rows, summary = evaluate_cohort(fold_folder(run.out, index) / "predictions", run.data, only=fold.test)
        rows = [replace(row, seconds=None) for row in rows]  # a resumed run has not measured all cases
        summary["seconds"] = {"mean": None, "n": 0, "interval": None}
        _write(rows, summary, fold_folder(run.out, index) / "evaluation")
        every += rows
        summaries.append(summary)
    every.sort(key=lambda row: row.case)
    names = {row.case for row in every}
    together = summarize(every, Cohort(cohort.folder, tuple(c for c in cohort.cases if c.name in names), cohort.notes))
    _write(every, together, run.out / "evaluation")
    system = find_system(settings.system)
    result = CrossValidationResult(
        system=system.name, data=together["data"]["description"], folds=tuple(summaries), together=together,
        calibrations=tuple(_calibration_text(run.out, index) for index in range(len(plan.folds))),
        notes=_notes(plan, settings),
    )  # fmt: skip
    write_result(result, run.out)
    return result


def _write(rows: list[CaseMetrics], summary: dict[str, Any], folder: Path) -> None:
    write_tables(rows, summary, folder, write_figures(rows, summary, folder))


def _calibration_text(out: Path, index: int) -> str | None:
    path = fold_folder(out, index) / "calibration" / CALIBRATION_FILE
    return str(json.loads(path.read_text(encoding="utf-8"))["text"]) if path.is_file() else None


def _notes(plan: FoldPlan, settings: FoldSettings) -> tuple[str, ...]:
    """What is doubtful about the folds, and what the weights that are not trained in them may have seen."""
    system = find_system(settings.system)
    notes = list(plan.notes) if "classification" in system.tasks else []
    for name in kept_bundles(system, settings.keep):
        trained_on = provenance({name: load_bundle_network(name)})[name]["trained_on"]
        notes.append(
            f"{name} is not trained in the folds; its weights ({trained_on}) may have seen the scored anatomy."
        )
    return tuple(notes)
