"""Diagnoses of several folds become one."""

from __future__ import annotations

import pytest
import torch

from nephro_monai.structures import Box, Calibration, Diagnosis, SliceVote, Tumor
from nephro_monai.transforms import VoteFoldsd
from nephro_monai.transforms.vote_folds import join_votes, vote_folds


def tumor(index: int, low: int, high: int) -> Tumor:
    return Tumor(index, "left", Box(low, low, low, high, high, high), 1.0, (0.0, 0.0, 0.0), 10.0)


def vote(tumor: int, z: int, malignant: float) -> SliceVote:
    return SliceVote(tumor, z, z, 3.0 * z, 50.0, (1 - malignant, malignant), ("benign", "malignant")[malignant > 0.5])


def diagnosed(verdict: str, mean: float | None, calibrated: float | None = None) -> Diagnosis:
    calibration = Calibration() if calibrated is not None else None
    return Diagnosis(verdict, "because", mean, probability_malignant=calibrated, calibration=calibration)


@pytest.mark.parametrize(
    ("verdicts", "verdict", "words"),
    [
        (["malignant"] * 3 + ["benign"] * 2, "malignant", "3 of 5 folds say malignant."),
        (["benign"] * 2, "benign", "2 of 2 folds"),
        (["malignant", "benign"], "undetermined", "No majority of the 2 folds: 1 malignant, 1 benign."),
        (["malignant"] * 2 + ["undetermined"] * 3, "undetermined", "2 malignant, 3 undetermined"),
        (["benign", "undetermined"], "undetermined", "No majority"),
    ],
)
def test_more_than_half_of_all_folds(verdicts, verdict, words):
    slices = [vote(1, z, 0.9) for z in range(4)]
    found = vote_folds([diagnosed(v, 0.6) for v in verdicts], [1], slices)
    assert found.verdict == verdict and words in found.reason
    assert [m.vote for m in found.models] == verdicts
    assert found.mean_probability_malignant == pytest.approx(0.6)
    assert found.agreement == {"malignant": 1.0, "benign": 0.0, "undetermined": None}[verdict]


def test_calibrated_probabilities_are_averaged():
    found = vote_folds([diagnosed("malignant", 0.9, 0.7), diagnosed("malignant", 0.9, 0.6)], [1], [vote(1, 0, 0.9)])
    assert found.mean_probability_malignant == pytest.approx(0.65)


def test_no_tumor_and_no_classifier():
    none = vote_folds([diagnosed("malignant", 0.9), diagnosed("undetermined", None)], [], [])
    assert none.verdict == "undetermined" and "most folds" in none.reason and len(none.models) == 1
    unable = vote_folds([Diagnosis("undetermined", "Not classified: no classifier.")] * 2, [1], [])
    assert unable.verdict == "undetermined" and "Not classified" in unable.reason and unable.models == ()


def test_slices_go_to_the_tumor_they_overlap():
    """Fold b numbers its tumors the other way round, and has one that the common label map lacks."""
    common = [tumor(1, 0, 10), tumor(2, 20, 26)]
    pictures = torch.arange(8.0).reshape(8, 1, 1, 1)
    a = {
        "tumors": common, "diagnosis": diagnosed("benign", 0.2), "tumor_slices": pictures[:3],
        "slice_votes": [vote(1, 3, 0.2), vote(1, 4, 0.4), vote(2, 21, 0.9)],
    }  # fmt: skip
    b = {
        "tumors": [tumor(1, 21, 29), tumor(2, 1, 6), tumor(3, 40, 44)], "diagnosis": diagnosed("benign", 0.3),
        "slice_votes": [vote(1, 21, 0.5), vote(1, 27, 0.7), vote(2, 4, 0.1), vote(3, 41, 0.9)],
        "tumor_slices": pictures[3:7],
    }  # fmt: skip
    doubtful = VoteFoldsd()({"fold_cases": [a, b], "tumors": common, "kidney_findings": []})["diagnosis"]
    assert (doubtful.verdict, doubtful.votes["malignant"]) == ("undetermined", 2)
    case = VoteFoldsd()({"fold_cases": [a, b], "tumors": common})
    places = [(v.tumor, v.slice_index, round(v.probabilities[1], 3)) for v in case["slice_votes"]]
    assert places == [(1, 3, 0.2), (1, 4, 0.25), (2, 21, 0.7), (2, 27, 0.7)]
    assert case["tumor_slices"].flatten().tolist() == [0.0, 1.0, 2.0, 4.0]
    assert "fold_cases" not in case and "colorized_slices" not in case
    assert case["diagnosis"].votes == {"benign": 2, "malignant": 2} and case["diagnosis"].verdict == "benign"


def test_joined_vote_of_three_classes():
    votes = [SliceVote(1, 0, 0, 0.0, 9.0, p, "normal") for p in ((0.2, 0.1, 0.7), (0.7, 0.1, 0.2), (0.6, 0.2, 0.2))]
    joined = join_votes(votes)
    assert joined.vote == "benign" and joined.probabilities == pytest.approx((0.5, 0.4 / 3, 1.1 / 3))
    unclassified = SliceVote(1, 0, 0, 0.0, 9.0)
    assert join_votes([unclassified]) is unclassified


def test_a_tumor_that_some_folds_deny_is_not_reported_as_none():
    none, cut = Diagnosis("undetermined", "No tumor was found."), Diagnosis("undetermined", "Not classified: none cut.")
    found = vote_folds([none, cut, none], [1], [])
    assert found.verdict == "undetermined" and found.reason == (
        "Not classified: no fold classified a tumor. Folds 0, 2: No tumor was found. Fold 1: Not classified: none cut."
    )
    assert vote_folds([none], [1], []).reason.startswith("Not classified: ")
