"""Thresholds with the largest Youden index, by hand and by search."""

from __future__ import annotations

import numpy as np
import pytest

from nephro_monai.metrics.decision_threshold import youden_threshold


def _youden(malignant: np.ndarray, probabilities: np.ndarray, threshold: float) -> float:
    called = probabilities >= threshold
    return called[malignant].mean() - called[~malignant].mean()


@pytest.mark.parametrize(
    ("malignant", "probabilities", "expected"),
    [
        ([False, False, True, True], [0.1, 0.3, 0.7, 0.9], 0.5),  # midway between 0.3 and 0.7
        ([False, False, True, True], [0.01, 0.02, 0.06, 0.9], 0.04),
        ([False, True, False, True, True], [0.1, 0.2, 0.6, 0.7, 0.8], 0.65),  # 2/3 - 0 beats 1 - 1/2
        ([True, True, False, False], [0.1, 0.2, 0.8, 0.9], 0.5),  # nothing is better than chance
        ([True, False], [0.4, 0.4], 0.5),
    ],
)
def test_worked_examples(malignant: list[bool], probabilities: list[float], expected: float) -> None:
    assert youden_threshold(malignant, probabilities) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_threshold_is_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    malignant = rng.random(60) < 0.6
    probabilities = np.clip(np.round(0.4 * rng.random(60) + 0.3 * malignant, 2), 0, 1)  # with ties
    best = max(_youden(malignant, probabilities, t) for t in np.linspace(0, 1, 1001))
    found = youden_threshold(malignant.tolist(), probabilities.tolist())
    assert 0 <= found <= 1
    assert _youden(malignant, probabilities, found) == pytest.approx(best)


@pytest.mark.parametrize(("malignant", "probabilities"), [([True], [0.5]), ([False, False], [0.1, 0.2]), ([True], [])])
def test_one_class_has_no_threshold(malignant: list[bool], probabilities: list[float]) -> None:
    with pytest.raises(ValueError, match="both classes"):
        youden_threshold(malignant, probabilities)
