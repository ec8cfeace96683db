"""Slices, votes and largest slices, scored by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nephro_monai.metrics.slice_votes import patient_scores

CASES = ["a", "a", "a", "b", "b", "c"]
PROBABILITIES = np.array([0.9, 0.8, 0.2, 0.7, 0.1, 0.3])
TARGETS = np.array([1, 1, 1, 0, 0, 0])


def test_patients_are_scored_by_majority() -> None:
    scores = patient_scores(CASES, PROBABILITIES, TARGETS)
    assert scores["patient_balanced_accuracy"] == pytest.approx((1 + 0.5) / 2)  # b's vote is tied: wrong
    assert scores["slice_balanced_accuracy"] == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert scores["slice_auc"] == pytest.approx(7 / 9)
    assert scores["vote_f1_malignant"] == 1.0
    assert scores["vote_f1_benign"] == pytest.approx(2 / 3)  # c found, b open
    assert not any(name.startswith("largest") for name in scores)


def test_the_largest_slice_of_each_patient() -> None:
    largest = np.array([0, 0, 1, 1, 0, 1], dtype=bool)  # a: 0.2 (missed), b: 0.7 (false alarm), c: 0.3 (right)
    scores = patient_scores(CASES, PROBABILITIES, TARGETS, largest)
    assert scores["largest_accuracy"] == pytest.approx(1 / 3)
    assert scores["largest_f1_malignant"] == 0.0
    assert scores["largest_f1_benign"] == pytest.approx(2 / 4)


def test_the_baseline_on_the_papers_cases() -> None:
    targets = np.array([1] * 281 + [0] * 102)
    scores = patient_scores([str(i) for i in range(383)], np.linspace(0, 1, 383), targets)
    assert scores["always_malignant_f1"] == pytest.approx(0.846, abs=5e-4)


def test_one_class_gives_no_score() -> None:
    assert patient_scores(["a", "b"], np.array([0.2, 0.9]), np.array([1, 1])) == {}
