"""A folder of predictions against a data folder."""

from __future__ import annotations

import shutil
from dataclasses import asdict

import pytest

from nephro_monai.errors import TrainingDataError
from nephro_monai.evaluation import evaluate_cohort


def test_every_case_of_the_data_is_a_row(data, predictions):
    shutil.rmtree(predictions / "case_00003")
    steps = []
    rows, summary = evaluate_cohort(predictions, data, progress=lambda done, total: steps.append((done, total)))
    assert [row.status for row in rows] == ["done", "done", "done", "missing"]
    assert summary["kidney_dice"]["mean"] == pytest.approx((1 + 0.9 + 1 + 0) / 4)
    assert summary["data"]["synthetic"] is True
    assert steps[-1] == (4, 4)


def test_only_predicted_leaves_the_others_out(data, predictions):
    shutil.rmtree(predictions / "case_00003")
    rows, summary = evaluate_cohort(predictions, data, only_predicted=True)
    assert [row.case for row in rows] == ["case_00000", "case_00001", "case_00002"]
    assert summary["kidney_dice"]["n"] == 3


def test_a_prediction_without_truth_is_unscored(data, predictions):
    shutil.rmtree(data / "case_00000")
    rows, summary = evaluate_cohort(predictions, data)
    assert (rows[-1].case, rows[-1].status) == ("case_00000", "unscored")
    assert summary["kidney_dice"]["n"] == 3


def test_folders_without_a_common_case(data, predictions):
    for i in range(4):
        (data / f"case_{i:05d}").rename(data / f"other_{i}")
    with pytest.raises(TrainingDataError, match="No case is both"):
        evaluate_cohort(predictions, data)


def test_workers_change_nothing(data, predictions):
    alone, together = (evaluate_cohort(predictions, data, workers=n) for n in (1, 3))
    assert [asdict(row) for row in alone[0]] == [asdict(row) for row in together[0]]
    assert alone[1] == together[1]
    with pytest.raises(ValueError, match="got 0"):
        evaluate_cohort(predictions, data, workers=0)
