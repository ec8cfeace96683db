"""The table of the folds."""

from __future__ import annotations

import csv
import json
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from nephro_monai.evaluation import evaluate_cohort
from nephro_monai.evaluation.cross_validation_table import (
    CrossValidationResult,
    fold_lines,
    print_result,
    write_result,
)


@pytest.fixture
def result(predictions, data) -> CrossValidationResult:
    """Two folds of the conftest's four cases: case_00000 and 1; case_00002 and 3."""
    _, first = evaluate_cohort(predictions, data, only=("case_00000", "case_00001"))
    _, second = evaluate_cohort(predictions, data, only=("case_00002", "case_00003"))
    _, together = evaluate_cohort(predictions, data)
    return CrossValidationResult(
        "scnet", "Synthetic CT.", (first, second), together, ("temperature 2.00.", None), ("A note.",)
    )


def test_figures_of_folds_and_of_all(result):
    lines = {line.name: line for line in fold_lines(result)}
    kidney = lines["Kidney Dice"]
    values = [summary["kidney_dice"]["mean"] for summary in result.folds]
    assert kidney.folds == tuple(values) and kidney.mean == pytest.approx(np.mean(values))
    assert kidney.deviation == pytest.approx(np.std(values, ddof=1))
    assert kidney.together == result.together["kidney_dice"]["mean"] == pytest.approx(np.mean(values))
    assert kidney.interval == tuple(result.together["kidney_dice"]["interval"])
    specificity = lines["Specificity"]  # the second fold has no benign case
    assert specificity.folds == (0.0, None) and specificity.mean == 0.0 and specificity.deviation is None
    assert lines["No call"].folds == (0.5, 1.0)
    assert lines["Accuracy of the calls"].folds == (1.0, None)


def test_only_the_cases_of_a_fold_are_compared(predictions, data):
    rows, summary = evaluate_cohort(predictions, data, only=("case_00003", "case_00001"))
    assert [row.case for row in rows] == ["case_00001", "case_00003"] and summary["kidney_dice"]["n"] == 2


def test_files(result, tmp_path):
    write_result(result, tmp_path)
    with (tmp_path / "folds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["figure"] == "Kidney Dice" and float(rows[0]["fold_0"]) == pytest.approx(
        fold_lines(result)[0].folds[0]
    )
    by_name = {row["figure"]: row for row in rows}
    assert by_name["Specificity"]["fold_1"] == ""
    content = json.loads((tmp_path / "summary.json").read_text(), parse_constant=lambda c: pytest.fail(c))
    assert content["system"] == "scnet" and content["calibrations"] == ["temperature 2.00.", None]
    text = (tmp_path / "summary.md").read_text()
    assert "| Specificity | 0.000 | n/a |" in text and "- Fold 0: temperature 2.00." in text and "- A note." in text


@pytest.mark.parametrize(("width", "folds"), [(80, False), (120, True)])
def test_screen_shows_the_folds_where_they_fit(result, width, folds):
    console = Console(file=StringIO(), width=width)
    print_result(result, console)
    text = console.file.getvalue()
    assert ("fold 1" in text) == folds and "…" not in text
    assert "Accuracy of the calls" in text and "A note." in text
