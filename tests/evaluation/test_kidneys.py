"""Kidneys found, against cases decided by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nephro_monai.evaluation.kidneys import kidneys_found

MM = (1.0, 1.0, 1.0)


@pytest.fixture
def truth() -> np.ndarray:
    labels = np.zeros((30, 60, 100), np.uint8)
    labels[5:25, 20:40, 10:30] = 1
    labels[5:25, 20:40, 70:90] = 1
    labels[10:15, 25:30, 75:80] = 2
    labels[0, 0, 0] = 1  # a crumb
    return labels


def test_perfect_and_nothing(truth):
    assert kidneys_found(truth, truth, MM) == (2, 2)
    assert kidneys_found(truth * 0, truth, MM) == (0, 2)
    assert kidneys_found(truth, truth * 0, MM) == (0, 0)


def test_one_kidney_missed(truth):
    prediction = truth.copy()
    prediction[..., 50:] = 0
    assert kidneys_found(prediction, truth, MM) == (1, 2)


def test_threshold_is_half(truth):
    prediction = truth.copy()
    prediction[5:25, 20:40, 10:30] = 0
    prediction[5:25, 20:40, 10:17] = 1  # Dice 2 * 7 / 27 = 0.52
    assert kidneys_found(prediction, truth, MM) == (2, 2)
    prediction[5:25, 20:40, 16] = 0  # 2 * 6 / 26 = 0.46
    assert kidneys_found(prediction, truth, MM) == (1, 2)


def test_filling_everything_finds_nothing(truth):
    assert kidneys_found(np.ones_like(truth), truth, MM) == (0, 2)


def test_a_bridge_or_a_far_error_does_not_hide_a_kidney(truth):
    prediction = truth.copy()
    prediction[14:16, 29:31, 10:90] = 1
    assert kidneys_found(prediction, truth, MM) == (2, 2)


def test_single_kidney(truth):
    truth[..., 50:] = 0
    assert kidneys_found(truth, truth, MM) == (1, 1)


def test_spacing_bounds_what_counts_around_a_kidney(truth):
    prediction = truth.copy()
    prediction[:, 42:60, 10:30] = 1  # within 20 mm of the first kidney at 1 mm, beyond it at 20 mm voxels
    assert kidneys_found(prediction, truth, MM) == (2, 2)
    prediction[:, 0:18, 10:30] = 1
    assert kidneys_found(prediction, truth, MM) == (1, 2)
    assert kidneys_found(prediction, truth, (20.0, 20.0, 20.0)) == (2, 2)
