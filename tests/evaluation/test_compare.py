"""Paired differences against values by hand and SciPy."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from scipy.stats import wilcoxon

from nephro_monai.errors import TrainingDataError
from nephro_monai.evaluation.compare import compare_predictions, comparison_lines, write_comparison
from tests.evaluation.conftest import label_map, save


@pytest.fixture
def cohort(tmp_path):
    """Eight cases; A is exact in all but one, B is moved by one to three voxels."""
    records = []
    for i in range(8):
        name = f"case_{i:05d}"
        save(tmp_path / "data" / name / "segmentation.nii.gz", label_map())
        save(tmp_path / "a" / name / "segmentation.nii.gz", label_map(shift=2 * (i == 7)))
        save(tmp_path / "b" / f"prediction_{i:05d}.nii.gz", label_map(shift=1 + i % 3))
        verdict = {"verdict": "malignant", "mean_probability_malignant": 0.8}
        (tmp_path / "a" / name / "diagnosis.json").write_text(json.dumps(verdict))
        records.append({"case_id": name, "malignant": True})
    (tmp_path / "data" / "kits.json").write_text(json.dumps(records))
    return tmp_path


def _compare(cohort, **options):
    return compare_predictions(cohort / "a", cohort / "b", cohort / "data", **options)


def test_differences_by_hand(cohort):
    comparison = _compare(cohort, workers=2)
    metric = {m.name: m for m in comparison.metrics}["tumor Dice"]
    shifts = [1 + i % 3 for i in range(8)]
    a, b = np.array([1.0] * 7 + [0.5]), np.array([1 - shift / 4 for shift in shifts])
    assert [metric.mean_a, metric.mean_b, metric.difference] == pytest.approx([a.mean(), b.mean(), (a - b).mean()])
    assert metric.interval[0] < metric.difference < metric.interval[1]
    assert metric.p == pytest.approx(wilcoxon(a - b, zero_method="pratt").pvalue)
    assert (metric.a_better, metric.b_better, metric.n) == (7, 0, 8)  # the last: both moved by two
    distance = {m.name: m for m in comparison.metrics}["kidney Hausdorff 95 %, mm"]
    assert (distance.difference < 0, distance.a_better) == (True, 7)
    assert comparison.names == ("a", "b")


def test_verdicts_by_mcnemar(cohort):
    verdicts = {m.name: m for m in _compare(cohort).metrics}["right verdict"]
    assert (verdicts.mean_a, verdicts.mean_b, verdicts.p) == (1.0, 0.0, pytest.approx(2 * 0.5**8))


def test_the_same_predictions_do_not_differ(cohort):
    comparison = compare_predictions(cohort / "a", cohort / "a", cohort / "data")
    assert {m.p for m in comparison.metrics} == {1.0}
    assert {m.difference for m in comparison.metrics} == {0.0}
    assert comparison.names[1] == "B (the same folder)"


def test_missing_predictions_score_zero_or_are_left_out(cohort):
    (cohort / "b" / "prediction_00000.nii.gz").unlink()
    composite = _compare(cohort).metrics[0]
    assert (composite.n, composite.values["case_00000"]) == (8, (1.0, 0.0))
    assert "b has no usable prediction of 1 of 8 cases (case_00000): 0 there." in _compare(cohort).notes
    alone = _compare(cohort, only_both=True)
    assert alone.metrics[0].n == 7
    assert "1 cases are predicted on one side only" in alone.notes[0]


def test_a_single_case_has_no_interval(cohort):
    for i in range(1, 8):
        (cohort / "b" / f"prediction_{i:05d}.nii.gz").unlink()
    comparison = _compare(cohort, only_both=True)
    assert comparison.metrics[0].interval is None
    assert "fewer than 6" in comparison.notes[-1]
    (cohort / "b" / "prediction_00000.nii.gz").write_bytes(b"")
    with pytest.raises(TrainingDataError, match="No case of"):
        _compare(cohort, only_both=True)


def test_files(cohort, tmp_path):
    comparison = _compare(cohort)
    write_comparison(comparison, tmp_path / "out")
    names = ["comparison.csv", "comparison.json", "comparison.md", "differences.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    with (tmp_path / "out" / "comparison.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "composite"]
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    mean = np.mean([float(row["difference"]) for row in rows])
    assert content["metrics"]["composite"]["difference"] == pytest.approx(mean)
    assert len(comparison_lines(comparison)) == 8
    assert "| tumor Dice | 0.938 |" in (tmp_path / "out" / "comparison.md").read_text()
