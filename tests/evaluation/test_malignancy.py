"""Scores of patients and slices: intervals, curves, the always-malignant baseline."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from nephro_monai.evaluation.bootstrap import resampling_weights
from nephro_monai.evaluation.malignancy import CaseCalls, _ece_samples, auc_samples, score_calls
from nephro_monai.metrics.calibration import reliability


def _cases(seed: int, count: int = 30, slices: int = 4) -> list[CaseCalls]:
    rng = np.random.default_rng(seed)
    cases = []
    for i in range(count):
        p = rng.beta(2 + (i % 3 > 0), 2, slices).round(2)
        cases.append(CaseCalls(i % 3 > 0, tuple(np.where(p > 0.5, "malignant", "benign").tolist()), tuple(p.tolist())))
    return cases


def test_point_estimates_and_intervals():
    cases = _cases(0)
    scores = score_calls(cases)
    truth = [case.malignant for case in cases for _ in case.verdicts]
    probabilities = [p for case in cases for p in case.probabilities]
    assert scores["auc"] == pytest.approx(roc_auc_score(truth, probabilities))
    assert (scores["n"], scores["cases"]) == (120, 30)
    for name, (low, high) in scores["intervals"].items():
        assert low <= high, name
        if name != "ece":  # its bootstrap is biased upwards, as is known
            assert low <= scores[name] <= high, name
    share = np.mean(truth)
    assert scores["always_malignant"] == {
        "accuracy": pytest.approx(share), "f1": pytest.approx(2 * share / (1 + share)), "balanced_accuracy": 0.5,
    }  # fmt: skip
    json.dumps(scores, allow_nan=False)


def test_samples_equal_scores_of_the_drawn_slices():
    cases = _cases(1, 12)
    weights = resampling_weights(len(cases), 20)
    aucs, errors = auc_samples(cases, weights), _ece_samples(cases, weights)
    for row, auc, error in zip(weights, aucs, errors, strict=True):
        drawn = [case for case, times in zip(cases, row, strict=True) for _ in range(times)]
        truth = [case.malignant for case in drawn for _ in case.verdicts]
        probabilities = [p for case in drawn for p in case.probabilities]
        assert auc == pytest.approx(roc_auc_score(truth, probabilities))
        assert error == pytest.approx(reliability(probabilities, truth).error)


def test_the_band_holds_the_curve():
    roc = score_calls(_cases(2))["roc"]
    band = roc["band"]
    middle = np.interp(band["false_positive_rate"], roc["false_positive_rate"], roc["true_positive_rate"])
    assert (np.array(band["low"]) <= middle + 0.05).all()
    assert (np.array(band["high"]) >= middle - 0.05).all()
    assert band["low"][-1] == band["high"][-1] == 1.0


def test_one_class_or_nothing_has_no_curve():
    only = [CaseCalls(True, ("malignant",), (0.8,)), CaseCalls(True, ("undetermined",), (None,))]
    scores = score_calls(only)
    assert scores["roc"] is scores["auc"] is scores["specificity"] is None
    assert scores["confusion"]["malignant"] == {"benign": 0, "malignant": 1, "no call": 1}
    assert scores["accuracy"] == 0.5
    empty = score_calls([])
    assert empty["n"] == 0
    assert empty["always_malignant"] is empty["ece"] is None
    json.dumps([scores, empty], allow_nan=False)
