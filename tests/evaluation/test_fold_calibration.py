"""From the predictions of the calibration cases to temperature and limits."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from nephro_monai.evaluation.fold_calibration import calibrate_fold, patient_log_odds
from nephro_monai.metrics.verdict_calibration import fit_calibration


def slices(*malignant: float, tumor: int = 1) -> list[dict]:
    names = ("benign", "malignant")
    return [
        {"tumor": tumor, "vote": names[p > 0.5], "probabilities": {"benign": 1 - p, "malignant": p}} for p in malignant
    ]


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def test_log_odds_of_a_patient():
    assert patient_log_odds({"slices": slices(0.8, 0.6)}) == pytest.approx((logit(0.8) + logit(0.6)) / 2)
    two = {"slices": [*slices(0.2, 0.3), *slices(0.7, tumor=2)]}
    assert patient_log_odds(two) == pytest.approx(logit(0.7))  # the tumor that is most probably malignant
    models = [{"model": "fold 1", "probability_malignant": 0.9, "vote": "malignant"}]
    assert patient_log_odds({"slices": slices(0.1), "models": models}) == pytest.approx(logit(0.9))
    assert patient_log_odds({"slices": [], "models": []}) is None and patient_log_odds({}) is None


def test_slices_judged_normal_have_no_say():
    normal = {"tumor": 1, "vote": "normal", "probabilities": {"benign": 0.1, "malignant": 0.1, "normal": 0.8}}
    third = {"tumor": 1, "vote": "malignant", "probabilities": {"benign": 0.1, "malignant": 0.4, "normal": 0.5}}
    assert patient_log_odds({"slices": [normal, third]}) == pytest.approx(logit(0.8))
    assert patient_log_odds({"slices": [normal]}) is None


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """Six calibration cases: three malignant, two benign, one without a classified slice."""
    for i, p in enumerate((0.9, 0.7, 0.4, 0.3, 0.2)):
        folder = tmp_path / f"case_{i:05d}"
        folder.mkdir()
        (folder / "diagnosis.json").write_text(json.dumps({"slices": slices(p)}))
    (tmp_path / "case_00005").mkdir()
    (tmp_path / "case_00005" / "diagnosis.json").write_text(json.dumps({"slices": []}))
    return tmp_path


TRUTH = {f"case_{i:05d}": i < 3 for i in range(6)}


def test_fitted_and_written(predictions):
    found = calibrate_fold(predictions, list(TRUTH), TRUTH)
    odds = [logit(p) for p in (0.9, 0.7, 0.4, 0.3, 0.2)]
    expected = fit_calibration(odds, [True] * 3 + [False] * 2)
    assert found.calibration.patients == 5
    assert found.calibration.temperature == pytest.approx(expected.temperature, rel=1e-6)
    assert found.calibration.malignant_from == pytest.approx(expected.malignant_from, rel=1e-6)
    assert "5 calibration patients (3 malignant, 2 benign)" in found.text
    written = json.loads((predictions / "calibration.json").read_text())
    assert written["temperature"] == found.calibration.temperature and written["text"] == found.text


def test_a_promise_that_cannot_be_kept_is_said(predictions):
    found = calibrate_fold(predictions, list(TRUTH), TRUTH, sensitivity=0.95)
    assert found.calibration.benign_below == 0.0
    assert "Nothing is called benign: a sensitivity of 95% takes 19 malignant calibration patients." in found.text


@pytest.mark.parametrize("cases", [[], ["case_00000", "case_00001"], ["case_00004", "case_00005"], ["case_00009"]])
def test_one_class_is_not_calibrated(predictions, cases):
    found = calibrate_fold(predictions, cases, {**TRUTH, "case_00009": None})
    assert found.calibration is None and "both classes are needed" in found.text
    assert json.loads((predictions / "calibration.json").read_text()) == {"text": found.text}
