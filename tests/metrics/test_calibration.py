"""Calibration against torchmetrics and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_calibration_error

from nephro_monai.metrics.calibration import reliability


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_torchmetrics(seed):
    rng = np.random.default_rng(seed)
    probabilities = rng.random(200)
    positive = rng.random(200) < probabilities**2
    expected = binary_calibration_error(torch.from_numpy(probabilities), torch.from_numpy(positive).int(), n_bins=10)
    assert reliability(probabilities.tolist(), positive.tolist()).error == pytest.approx(float(expected), abs=1e-6)


def test_by_hand():
    bins = reliability([0.05, 0.95, 1.0, 0.95], [True, True, True, False])
    assert bins.counts.tolist() == [1] + [0] * 8 + [3]
    assert bins.frequencies[9] == pytest.approx(2 / 3)
    assert bins.error == pytest.approx(0.25 * 0.95 + 0.75 * abs(2.9 / 3 - 2 / 3))
    assert np.isnan(bins.probabilities[3])


def test_nothing_and_nonsense():
    assert reliability([], []).error is None
    with pytest.raises(ValueError, match=r"0\.\.1"):
        reliability([1.2], [True])
    with pytest.raises(ValueError, match="One truth per probability"):
        reliability([0.2], [])
