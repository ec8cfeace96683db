"""Verdict scores against hand-counted ones and scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, matthews_corrcoef, precision_score, roc_auc_score

from nephro_monai.metrics.classification import confusion_counts, confusion_scores, score_verdicts


def test_hand_counted_scores():
    malignant = [True, True, True, True, False, False]
    verdicts = ["malignant", "malignant", "undetermined", "benign", "benign", None]
    scores = score_verdicts(malignant, verdicts, [0.9, 0.8, 0.5, 0.2, 0.3, None])
    assert (scores.n, scores.n_malignant) == (6, 4)
    assert scores.sensitivity == pytest.approx(2 / 4)
    assert scores.specificity == pytest.approx(1 / 2)
    assert scores.balanced_accuracy == pytest.approx(0.5)
    assert scores.accuracy == pytest.approx(3 / 6)
    assert scores.undetermined_rate == pytest.approx(2 / 6)
    assert scores.auc == pytest.approx(3 / 4)  # three of the four malignant ones rank above the benign one
    assert scores.n_auc == 5


def test_always_malignant_is_no_better_than_chance():
    malignant = [True] * 192 + [False] * 18  # KiTS19
    scores = score_verdicts(malignant, ["malignant"] * 210)
    assert scores.accuracy == pytest.approx(0.914, abs=5e-4)
    assert scores.balanced_accuracy == 0.5


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_scikit_learn(seed: int):
    rng = np.random.default_rng(seed)
    malignant = rng.random(40) < 0.7
    probabilities = rng.random(40)
    verdicts = np.where(probabilities > 0.5, "malignant", "benign")
    scores = score_verdicts(malignant.tolist(), verdicts.tolist(), probabilities.tolist())
    assert scores.balanced_accuracy == pytest.approx(balanced_accuracy_score(malignant, verdicts == "malignant"))
    assert scores.auc == pytest.approx(roc_auc_score(malignant, probabilities))


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_scikit_learn_with_open_verdicts(seed: int):
    rng = np.random.default_rng(seed)
    truth = rng.choice(["benign", "malignant"], 60)
    calls = rng.choice(["benign", "malignant", "undetermined"], 60)
    scores = score_verdicts((truth == "malignant").tolist(), calls.tolist())
    assert scores.mcc == pytest.approx(matthews_corrcoef(truth, calls))
    labels = ["benign", "malignant"]
    f1 = f1_score(truth, calls, labels=labels, average=None)
    precision = precision_score(truth, calls, labels=labels, average=None)
    assert [scores.f1_benign, scores.f1] == pytest.approx(f1)
    assert [scores.npv, scores.ppv] == pytest.approx(precision)


def test_undefined_scores_are_none():
    scores = score_verdicts([True, True], ["undetermined", None])
    assert scores.ppv is scores.npv is scores.mcc is scores.f1_benign is None
    assert scores.f1 == 0.0


def test_many_matrices_at_once():
    counts = np.stack([confusion_counts([True, False], ["malignant", "benign"]), np.zeros((2, 3), int)])
    scores = confusion_scores(counts)
    assert scores["mcc"][0] == scores["accuracy"][0] == 1.0
    assert np.isnan(scores["accuracy"][1])


def test_one_class_has_no_balanced_accuracy():
    scores = score_verdicts([True, True], ["malignant", "benign"], [0.9, 0.1])
    assert scores.sensitivity == 0.5
    assert scores.specificity is scores.balanced_accuracy is scores.auc is None


def test_nobody_to_score():
    scores = score_verdicts([], [])
    assert scores.n == 0
    assert scores.accuracy is scores.sensitivity is scores.undetermined_rate is None


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="got 1 for 2 patients"):
        score_verdicts([True, False], ["benign"])


def test_calls_and_abstentions_are_told_apart():
    malignant = [True] * 5 + [False] * 3
    verdicts = ["malignant", "malignant", "benign", "undetermined", None, "benign", "malignant", "undetermined"]
    scores = score_verdicts(malignant, verdicts)
    assert scores.called_accuracy == pytest.approx(3 / 5)
    assert scores.called_benign == pytest.approx(1 / 5)  # those without a call are not called benign
    assert scores.accuracy == pytest.approx(3 / 8) and scores.undetermined_rate == pytest.approx(3 / 8)
    silent = score_verdicts([True, False], [None, None])
    assert silent.called_accuracy is None and silent.called_benign == 0.0
