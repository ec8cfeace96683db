"""Compares predictions with the truth: tables, figures of merit, cross-validation, the papers' experiments."""

from __future__ import annotations

from nephro_monai.evaluation.case_metrics import CaseMetrics, evaluate_case
from nephro_monai.evaluation.cohort import Cohort, TruthCase, find_predictions, read_cohort
from nephro_monai.evaluation.cross_validation import CrossValidationRun, cross_validate
from nephro_monai.evaluation.cross_validation_table import CrossValidationResult
from nephro_monai.evaluation.evaluate import evaluate_cohort
from nephro_monai.evaluation.experiment import run_experiment
from nephro_monai.evaluation.experiment_plan import Experiment, read_experiment
from nephro_monai.evaluation.experiment_trainings import ExperimentOptions
from nephro_monai.evaluation.figures import write_figures
from nephro_monai.evaluation.fold_settings import FoldSettings
from nephro_monai.evaluation.kidneys import kidneys_found
from nephro_monai.evaluation.organ_map import OrganOverlap, compare_with_organ_map
from nephro_monai.evaluation.summary import summarize
from nephro_monai.evaluation.tables import print_table, write_tables
from nephro_monai.evaluation.worst_cases import write_worst_cases

__all__ = [
    "CaseMetrics",
    "Cohort",
    "CrossValidationResult",
    "CrossValidationRun",
    "Experiment",
    "ExperimentOptions",
    "FoldSettings",
    "OrganOverlap",
    "TruthCase",
    "compare_with_organ_map",
    "cross_validate",
    "evaluate_case",
    "evaluate_cohort",
    "find_predictions",
    "kidneys_found",
    "print_table",
    "read_cohort",
    "read_experiment",
    "run_experiment",
    "summarize",
    "write_figures",
    "write_tables",
    "write_worst_cases",
]
