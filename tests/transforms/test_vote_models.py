"""Worked examples of the vote of patient-level models."""

from __future__ import annotations

import pytest

from nephro_monai.structures import Calibration, Diagnosis, ModelVote, SliceVote
from nephro_monai.transforms import VoteModelsd
from nephro_monai.transforms.vote import vote_patient
from nephro_monai.transforms.vote_models import vote_models

SLICES = [SliceVote(1, z, z, 3.0 * z, 100.0, (0.8, 0.2), "benign") for z in range(3)]
SLICES.append(SliceVote(1, 3, 3, 9.0, 100.0, (0.1, 0.9), "malignant"))


def _models(*probabilities: float) -> list[ModelVote]:
    return [ModelVote(f"fold {k}", p, "malignant" if p >= 0.5 else "benign") for k, p in enumerate(probabilities, 1)]


@pytest.mark.parametrize(
    ("probabilities", "verdict", "words", "agreement"),
    [
        ((0.9, 0.9, 0.9, 0.9, 0.9), "malignant", "5 of 5 patient-level models say malignant.", 0.25),
        ((0.6, 0.6, 0.6, 0.1, 0.1), "malignant", "3 of 5", 0.25),
        ((0.99, 0.99, 0.4, 0.4, 0.4), "benign", "3 of 5 patient-level models say benign.", 0.75),
        ((0.9, 0.1), "undetermined", "Tie: 1 of 2", None),
    ],
)
def test_the_majority_decides(
    probabilities: tuple[float, ...], verdict: str, words: str, agreement: float | None
) -> None:
    from_slices = vote_patient([1], SLICES)
    found = vote_models(from_slices, _models(*probabilities))
    assert found.verdict == verdict
    assert words in found.reason
    assert found.agreement == agreement  # of the slices
    assert found.mean_probability_malignant == pytest.approx(sum(probabilities) / len(probabilities))
    assert len(found.models) == len(probabilities)
    assert (found.tumors, found.slices, found.votes) == (from_slices.tumors, from_slices.slices, from_slices.votes)


def test_without_models_the_diagnosis_stays() -> None:
    nothing = Diagnosis("undetermined", "No tumor was found.")
    assert VoteModelsd()({"diagnosis": nothing, "model_votes": []})["diagnosis"] is nothing


def test_models_may_decide_without_votes_of_slices() -> None:
    found = vote_models(vote_patient([1], []), _models(0.2, 0.3, 0.4))
    assert (found.verdict, found.agreement) == ("benign", None)


def test_the_transform() -> None:
    case = {"diagnosis": vote_patient([1], SLICES), "model_votes": _models(0.9, 0.8, 0.1)}
    assert VoteModelsd()(case)["diagnosis"].verdict == "malignant"
    assert case["diagnosis"].verdict == "benign"
    assert VoteModelsd()({**case, "kidney_findings": []})["diagnosis"].verdict == "undetermined"
    with pytest.raises(ValueError, match="one diagnosis"):
        VoteModelsd(keys=("a", "b"))


def test_calibrated_limits_decide_instead_of_the_majority() -> None:
    calibration = Calibration(temperature=1.0, benign_below=0.3, malignant_from=0.7)
    from_slices = vote_patient([1], SLICES)
    found = vote_models(from_slices, _models(0.8, 0.8, 0.2), calibration)
    assert found.verdict == "undetermined" and "between 0.30 and 0.70" in found.reason
    assert found.probability_malignant == pytest.approx(1 / (1 + 4 ** (-1 / 3)))  # mean log-odds: log(4) / 3
    assert found.calibration == calibration
    assert vote_models(from_slices, _models(0.9, 0.9, 0.9), calibration).verdict == "malignant"
    assert VoteModelsd(calibration=calibration).calibration == calibration
