"""Compares predictions with the truth: tables, means, figures of merit."""

from __future__ import annotations

from nephro_monai.evaluation.case_metrics import CaseMetrics, evaluate_case
from nephro_monai.evaluation.cohort import Cohort, TruthCase, find_predictions, read_cohort
from nephro_monai.evaluation.evaluate import evaluate_cohort
from nephro_monai.evaluation.figures import write_figures
from nephro_monai.evaluation.kidneys import kidneys_found
from nephro_monai.evaluation.organ_map import OrganOverlap, compare_with_organ_map
from nephro_monai.evaluation.summary import summarize
from nephro_monai.evaluation.tables import print_table, write_tables

__all__ = [
    "CaseMetrics",
    "Cohort",
    "OrganOverlap",
    "TruthCase",
    "compare_with_organ_map",
    "evaluate_case",
    "evaluate_cohort",
    "find_predictions",
    "kidneys_found",
    "print_table",
    "read_cohort",
    "summarize",
    "write_figures",
    "write_tables",
]
