"""Verdict scores against hand-counted ones and scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from nephro_monai.metrics.classification import score_verdicts


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
