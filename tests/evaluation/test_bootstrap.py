"""Intervals against SciPy's bootstrap, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap

from nephro_monai.evaluation.bootstrap import (
    interval,
    mean_with_interval,
    ratio_interval,
    resampling_weights,
    share_with_interval,
)


def test_agrees_with_scipy():
    values = np.random.default_rng(0).beta(4, 2, 40)
    entry = mean_with_interval(values.tolist())
    theirs = bootstrap((values,), np.mean, n_resamples=5000, method="percentile", rng=np.random.default_rng(1))
    assert entry["mean"] == pytest.approx(values.mean())
    assert entry["interval"] == pytest.approx(list(theirs.confidence_interval), abs=0.01)
    assert entry == mean_with_interval(values.tolist())  # the same every time


def test_nothing_one_and_undefined():
    assert mean_with_interval([None, None]) == {"mean": None, "n": 0, "interval": None}
    assert mean_with_interval([0.4, None]) == {"mean": 0.4, "n": 1, "interval": None}
    assert mean_with_interval([0.5, 0.5]) == {"mean": 0.5, "n": 2, "interval": [0.5, 0.5]}
    assert share_with_interval([True, False, True, True])["share"] == 0.75


def test_samples_without_a_value():
    assert interval(np.array([np.nan, np.nan, np.nan, 1.0])) is None
    assert interval(np.array([np.nan, 1.0, 1.0, 1.0])) == [1.0, 1.0]


def test_ratios_resample_both_sides():
    assert ratio_interval([1, 2, 3], [1, 2, 3]) == [1.0, 1.0]
    assert ratio_interval([1], [2]) is None
    assert ratio_interval([0, 0], [0, 0]) is None
    low, high = ratio_interval([0, 1, 2, 0, 4], [1, 1, 2, 3, 4])
    assert 0 < low < 7 / 11 < high <= 1


def test_weights_draw_as_many_cases_as_there_are():
    weights = resampling_weights(7, 50)
    assert weights.shape == (50, 7)
    assert (weights.sum(axis=1) == 7).all()
