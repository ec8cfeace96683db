"""Temperature, threshold and abstention against closed forms, a general optimizer and simulated patients."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from nephro_monai.metrics.verdict_calibration import (
    benign_limit,
    fewest_malignant,
    fit_calibration,
    fit_temperature,
    pooled_log_odds,
)
from nephro_monai.structures import Calibration


def simulated(count: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds that are `temperature` times too extreme, and the truth drawn from what they should be."""
    rng = np.random.default_rng(seed)
    right = rng.normal(0.3, 1.5, count)
    return right * temperature, rng.random(count) < expit(right)


def test_pooled_log_odds_is_the_mean_logit():
    assert pooled_log_odds([0.5, 0.5]) == 0.0
    assert pooled_log_odds([0.8]) == pytest.approx(math.log(4))
    assert pooled_log_odds([0.8, 0.2, 0.9]) == pytest.approx(math.log(9) / 3)
    assert pooled_log_odds([1.0]) == pytest.approx(math.log(0.9999 / 0.0001))
    assert pooled_log_odds([]) is None
    values = np.random.default_rng(0).random(50).tolist()
    assert pooled_log_odds(values) == pooled_log_odds(values[::-1])
    with pytest.raises(ValueError, match=r"0\.\.1"):
        pooled_log_odds([1.2])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_recovered(temperature):
    odds, truth = simulated(20_000, temperature)
    assert fit_temperature(odds, truth) == pytest.approx(temperature, rel=0.05)


def test_temperature_agrees_with_a_logistic_regression_without_intercept():
    odds, truth = simulated(5_000, 2.0, seed=3)
    reference = LogisticRegression(fit_intercept=False, C=np.inf, tol=1e-10).fit(odds[:, None], truth)
    assert fit_temperature(odds, truth) == pytest.approx(1 / reference.coef_[0, 0], rel=2e-3)  # Platt's targets: ~1/n


def test_temperature_is_the_optimum_of_platts_cross_entropy():
    odds, truth = simulated(12, 2.0, seed=1)
    n1, n0 = truth.sum(), (~truth).sum()
    targets = np.where(truth, (n1 + 1) / (n1 + 2), 1 / (n0 + 2))
    loss = lambda t: -np.mean(targets * np.log(expit(odds / t)) + (1 - targets) * np.log(expit(-odds / t)))  # noqa: E731
    reference = minimize(lambda x: loss(math.exp(x[0])), [0.0], method="Nelder-Mead", options={"xatol": 1e-9})
    assert fit_temperature(odds, truth) == pytest.approx(math.exp(reference.x[0]), rel=1e-4)


def test_patients_told_apart_give_no_certainty():
    temperature = fit_temperature([-2.0, -1.0, 1.0, 2.0], [False, False, True, True])
    assert 0.3 < temperature < 3.0
    assert fit_temperature([2.0, 1.0, -1.0, -2.0], [False, False, True, True]) == pytest.approx(20.0, rel=1e-3)


@pytest.mark.parametrize("sensitivity", [0.8, 0.9, 0.95])
def test_benign_limit_keeps_the_stated_sensitivity(sensitivity):
    """Over many draws, the share of new malignant patients below the limit is at most 1 - sensitivity."""
    rng = np.random.default_rng(5)
    below = []
    for _ in range(2_000):
        scores = rng.beta(4, 2, 60)
        limit = benign_limit([*scores, 0.1], [*[True] * 60, False], sensitivity)
        below.append((rng.beta(4, 2, 200) < limit).mean())
    assert np.mean(below) <= 1 - sensitivity + 0.004
    assert np.mean(below) >= 1 - sensitivity - 0.03  # and it is no idle promise


def test_too_few_malignant_patients_for_the_promise():
    assert fewest_malignant(0.95) == 19 and fewest_malignant(0.9) == 9 and fewest_malignant(0.5) == 1
    for sensitivity in (0.5, 0.8, 0.9, 0.95):
        need = fewest_malignant(sensitivity)
        scores = np.linspace(0.3, 0.9, need)
        assert benign_limit([*scores, 0.1], [*[True] * need, False], sensitivity) == scores[0]
        if need > 1:
            assert benign_limit([*scores[1:], 0.1], [*[True] * (need - 1), False], sensitivity) == 0.0


def test_fit_calibration_without_and_with_abstention():
    odds = [-3.0, -2.0, -1.0, 0.5, -1.5, 0.2, 1.0, 2.0, 3.0, 4.0]
    truth = [False] * 4 + [True] * 6
    plain = fit_calibration(odds, truth)
    assert plain.benign_below == plain.malignant_from and plain.patients == 10 and plain.sensitivity is None
    # Youden: 4 of 6 malignant and all benign ones are on the right side of a limit between 0.5 and 1.0.
    assert plain.probability(0.5) < plain.malignant_from < plain.probability(1.0)
    careful = fit_calibration(odds, truth, sensitivity=0.8)
    assert careful.benign_below == pytest.approx(careful.probability(-1.5))
    assert careful.malignant_from == plain.malignant_from
    verdicts = [careful.verdict(careful.probability(value)) for value in (-2.0, -1.2, 1.0)]
    assert verdicts == ["benign", "undetermined", "malignant"]


def test_both_classes_are_needed():
    for call in (fit_temperature, fit_calibration):
        with pytest.raises(ValueError, match="both classes"):
            call([0.1, 0.2], [True, True])
    with pytest.raises(ValueError, match="sensitivity"):
        benign_limit([0.1, 0.2], [True, False], 1.0)


@pytest.mark.parametrize("numbers", [(0.0, 0.5, 0.5), (1.0, 0.6, 0.5), (1.0, -0.1, 0.5), (1.0, 0.5, 1.5)])
def test_calibration_refuses_nonsense(numbers):
    with pytest.raises(ValueError, match="temperature above 0"):
        Calibration(*numbers)


def test_calibrated_probability_of_extreme_evidence():
    calibration = Calibration(2.0)
    assert calibration.probability(0.0) == 0.5
    assert calibration.probability(2.0) == pytest.approx(expit(1.0))
    assert calibration.probability(-4000.0) == 0.0 and calibration.probability(4000.0) == 1.0
