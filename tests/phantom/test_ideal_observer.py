"""The reader who knows the look, against generators whose AUC can be worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from nephro_monai.phantom import read_parameters
from nephro_monai.phantom.config import BENIGN_SUBTYPES, MALIGNANT_SUBTYPES
from nephro_monai.phantom.ideal_observer import IdealObserver, fit_ideal_observer, ideal_observer_of, knows_looks
from nephro_monai.phantom.parameters import Parameters
from nephro_monai.phantom.records import latent_values
from nephro_monai.phantom.tumors import draw_look

_SHARES = ("necrosis", "scar", "fat", "rim", "calcified", "dark")
_FAMILIES = {
    "malignant_subtype_shares": {"clear_cell_rcc": 1, "papillary": 0, "chromophobe": 0},
    "benign_subtype_shares": {"oncocytoma": 1, "angiomyolipoma": 0},
}


def _parameters(malignant_hu: list[float], benign_hu: list[float], **more: Any) -> Parameters:
    """Subtypes that differ in their heterogeneity over millimeters at most."""
    packaged = read_parameters()
    looks: dict[str, dict[str, Any]] = {}
    for name, look in packaged.looks.items():
        shares = {f"{sign}_share": 0 for sign in _SHARES if getattr(look, f"{sign}_share")}
        both = {"arterial_of_kidney": [0.4, 0.8], "later_of_kidney": [0.4, 0.8], "coarse_hu": [5, 12]}
        even = {"even_coarse_hu": [5, 12]} if name == "clear_cell_rcc" else {}
        fine = {"fine_hu": malignant_hu if name in MALIGNANT_SUBTYPES else benign_hu}
        looks[name] = {**shares, **both, **even, **fine}
    phases = {"none": 0, "arterial": 0.5, "nephrographic": 0.5, "excretory": 0}
    return read_parameters({"phase_shares": phases, "looks": looks, **more})


def _patient(parameters: Parameters, subtype: str, rng: np.random.Generator, tumors: int = 1) -> Mapping[str, Any]:
    kidney_hu = float(rng.uniform(100, 200))
    looks = [draw_look(rng, subtype, kidney_hu, "arterial", 30.0, parameters) for _ in range(tumors)]
    return {"kidney_hu": kidney_hu, "phase": "arterial", "looks": [latent_values(look, 30.0) for look in looks]}


def _auc(parameters: Parameters, observer: IdealObserver, tumors: int = 1) -> float:
    rng = np.random.default_rng(7)
    subtypes = [*rng.choice(list(MALIGNANT_SUBTYPES), 400), *rng.choice(list(BENIGN_SUBTYPES), 400)]
    patients = [_patient(parameters, str(subtype), rng, tumors) for subtype in subtypes]
    return float(roc_auc_score([1] * 400 + [0] * 400, observer.probabilities(patients)))


@pytest.mark.parametrize(
    ("malignant_hu", "benign_hu", "tumors", "expected"),
    [
        ([10, 14], [1, 5], 1, 1.0),
        ([1, 9], [1, 9], 1, 0.5),
        ([0, 20], [10, 30], 1, 0.875),  # a tie in the half of each that overlaps: 1 - 0.5 * 0.5 * 0.5
        ([0, 20], [10, 30], 2, 0.96875),  # the same subtype twice: a quarter is left to overlap
    ],
    ids=["one sign decides", "families alike", "half overlaps", "two tumors"],
)
def test_auc_worked_out_by_hand(malignant_hu, benign_hu, tumors, expected):
    parameters = _parameters(malignant_hu, benign_hu)
    observer = fit_ideal_observer(parameters, patients=400)
    assert _auc(parameters, observer, tumors) == pytest.approx(expected, abs=0.045)


def test_log_odds_of_tumors_add_and_count_the_prior_once():
    parameters = _parameters([0, 20], [10, 30], **_FAMILIES, cases={"benign_share": 0.2})
    observer = fit_ideal_observer(parameters, patients=400)
    both = _patient(parameters, "clear_cell_rcc", np.random.default_rng(3), tumors=2)
    alone = [{**both, "looks": [look]} for look in both["looks"]]
    pair, first, second = (np.log(p / (1 - p)) for p in observer.probabilities([both, *alone]))
    assert pair == pytest.approx(first + second - np.log(0.8 / 0.2))
    assert observer.probabilities([]).shape == (0,)


def test_one_observer_per_set_of_ranges(monkeypatch):
    fitted = []
    monkeypatch.setattr("nephro_monai.phantom.ideal_observer.fit_ideal_observer", lambda p: fitted.append(p) or p)
    first = ideal_observer_of({"cases": {"benign_share": 0.31}})
    assert ideal_observer_of({"cases": {"benign_share": 0.31}}) is first and len(fitted) == 1
    assert fitted[0].cases["benign_share"] == 0.31


def test_records_without_looks_are_known_as_such():
    patient = dict(_patient(read_parameters(), "papillary", np.random.default_rng(0)))
    assert knows_looks(patient)
    assert not any(map(knows_looks, (None, {}, {**patient, "looks": []}, {**patient, "looks": [{"fat": 0.1}]})))
    del patient["kidney_hu"]
    assert not knows_looks(patient)
