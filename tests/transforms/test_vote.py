"""Worked examples of the vote."""

from __future__ import annotations

import random

import pytest

from nephro_monai.metrics.verdict_calibration import pooled_log_odds
from nephro_monai.structures import Box, Calibration, SliceVote, Tumor
from nephro_monai.transforms import VoteMalignancyd
from nephro_monai.transforms.vote import vote_patient, vote_tumor


def _slices(malignant, tumor=1):
    """One slice per probability of malignancy; None is not classified."""
    return [
        SliceVote(tumor, z, z, 3.0 * z, 100.0)
        if p is None
        else SliceVote(tumor, z, z, 3.0 * z, 100.0, (1 - p, p), "malignant" if p > 0.5 else "benign")
        for z, p in enumerate(malignant)
    ]


@pytest.mark.parametrize(
    ("malignant", "verdict", "words"),
    [
        ([0.9, 0.8, 0.7], "malignant", "3 of 3"),
        ([0.9, 0.8, 0.1], "malignant", "2 of 3"),
        ([0.1, 0.2, 0.9], "benign", "2 of 3"),
        ([0.51] * 3 + [0.01] * 2, "malignant", "3 of 5"),  # votes decide, not the mean (0.31)
        ([0.9, 0.1], "undetermined", "Tie"),
        ([0.9], "undetermined", "Thin evidence: 1 slice voted"),
        ([0.9] * 16 + [0.1] * 14, "undetermined", "Narrow majority: 16 of 30"),
        ([0.9] * 11 + [0.1] * 9, "malignant", "11 of 20"),  # exactly 55 %
        ([], "undetermined", "Not classified"),
        ([None, None], "undetermined", "Not classified"),
    ],
)
def test_one_tumor(malignant, verdict, words):
    vote = vote_tumor(1, _slices(malignant))
    assert vote.verdict == verdict
    assert words in vote.reason
    values = [p for p in malignant if p is not None]
    expected = sum(values) / len(values) if values else None
    assert vote.mean_probability_malignant == (pytest.approx(expected) if values else None)
    share = max(sum(p > 0.5 for p in values), sum(p <= 0.5 for p in values)) / len(values) if values else None
    assert vote.agreement == (pytest.approx(share) if verdict != "undetermined" else None)


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ([0.1] * 5, [0.9] * 3, "malignant"),  # any malignant tumor decides
        ([0.9] * 3, [0.9], "malignant"),
        ([0.1] * 5, [0.1] * 3, "benign"),
        ([0.1] * 5, [0.9], "undetermined"),  # thin evidence for the second
        ([0.1] * 5, [0.9, 0.1], "undetermined"),
    ],
)
def test_two_tumors(first, second, verdict):
    diagnosis = vote_patient([1, 2], _slices(first, 1) + _slices(second, 2))
    assert diagnosis.verdict == verdict
    assert [vote.tumor for vote in diagnosis.tumors] == [1, 2]
    assert sum(diagnosis.votes.values()) == len(first) + len(second) == len(diagnosis.slices)
    if verdict != "undetermined":
        assert diagnosis.agreement == diagnosis.votes[verdict] / len(diagnosis.slices)
    else:
        assert diagnosis.agreement is None
        assert "Tumor 2 of 2" in diagnosis.reason


def test_small_tumors_beside_a_large_one_have_no_say():
    """Of 40 and 2 ml; the small one is voted on as ever, and decides where it is not passed over."""
    tumors = [Tumor(k, "left", Box(0, 0, 0, 1, 1, 1), ml, (0, 0, 0), 10.0) for k, ml in ((1, 40.0), (2, 2.0))]
    case = {"tumors": tumors, "slice_votes": _slices([0.1] * 5, 1) + _slices([0.9] * 3, 2)}
    found = VoteMalignancyd(least_share=0.1)(case)["diagnosis"]
    assert (found.verdict, found.reason) == ("benign", "1 of 2 tumors benign; tumor 1: 5 of 5 slices say benign.")
    assert (found.votes, found.agreement) == ({"benign": 5, "malignant": 0}, 1.0)
    assert found.mean_probability_malignant == pytest.approx(0.1) and len(found.slices) == 8
    assert [(vote.verdict, vote.has_say) for vote in found.tumors] == [("benign", True), ("malignant", False)]
    assert found.tumors[1].reason.startswith("Small beside the largest tumor") and "3 of 3" in found.tumors[1].reason
    assert VoteMalignancyd(least_share=0.05)(case)["diagnosis"].verdict == "malignant"
    assert VoteMalignancyd()(case)["diagnosis"].verdict == "malignant"
    careful = VoteMalignancyd(least_share=0.1, calibration=CAREFUL)(case)["diagnosis"]
    assert careful.probability_malignant == careful.tumors[0].probability_malignant < 0.5
    with pytest.raises(ValueError, match="at least one must have a say"):
        vote_patient([1, 2], case["slice_votes"], passed_over={1, 2})
    with pytest.raises(ValueError, match="least_share"):
        VoteMalignancyd(least_share=1.5)


def test_no_tumor_no_slice_and_no_classifier_are_answers():
    none = vote_patient([], [])
    assert (none.verdict, none.reason, none.mean_probability_malignant) == ("undetermined", "No tumor was found.", None)
    assert vote_patient([1], []).reason == "Not classified: no tumor slice was cut."
    unclassified = vote_patient([1], _slices([None] * 4))
    assert unclassified.verdict == "undetermined"
    assert unclassified.reason == "Not classified: this system has no classifier."
    assert unclassified.tumors[0].verdict == "undetermined"


def test_other_classes_do_not_count():
    slices = [*_slices([0.9, 0.9, 0.1]), SliceVote(1, 9, 9, 27.0, 5.0, (0.1, 0.1, 0.8), "normal")]
    assert vote_patient([1], slices).votes == {"benign": 1, "malignant": 2}


def test_the_order_of_slices_does_not_matter():
    slices = _slices([0.1, 0.93, 0.2, 0.81, 0.77, 0.3333])
    expected = vote_patient([1], slices)
    for seed in range(5):
        mixed = random.Random(seed).sample(slices, len(slices))
        found = vote_patient([1], mixed)
        assert (found.verdict, found.reason, found.mean_probability_malignant) == (
            expected.verdict,
            expected.reason,
            expected.mean_probability_malignant,
        )


def test_the_transform_reads_tumors_and_slices():
    tumor = Tumor(1, "left", Box(0, 0, 0, 1, 1, 1), 3.0, (0, 0, 0), 10.0)
    case = VoteMalignancyd()({"tumors": [tumor], "slice_votes": _slices([0.9, 0.8])})
    assert case["diagnosis"].verdict == "malignant"
    strict = VoteMalignancyd(min_slices=3)({"tumors": [tumor], "slice_votes": _slices([0.9, 0.8])})
    assert strict["diagnosis"].verdict == "undetermined"
    assert VoteMalignancyd()({"tumors": [], "slice_votes": []})["diagnosis"].reason == "No tumor was found."


@pytest.mark.parametrize(
    "wrong", [{"min_slices": 0}, {"min_agreement": 0.4}, {"min_agreement": 1.1}, {"keys": ("a", "b")}]
)
def test_wrong_settings(wrong):
    with pytest.raises(ValueError, match=r"min_slices|one list"):
        VoteMalignancyd(**wrong)


CAREFUL = Calibration(temperature=2.0, benign_below=0.3, malignant_from=0.6, sensitivity=0.9, patients=40)


@pytest.mark.parametrize(
    ("malignant", "verdict", "words"),
    [
        ([0.9, 0.9], "malignant", "Calibrated probability of malignant 0.75: malignant from 0.60."),
        ([0.1, 0.1], "benign", "0.25: benign below 0.30."),
        ([0.9, 0.1], "undetermined", "0.50: between 0.30 and 0.60, where no call is made."),
        ([0.6, 0.6, 0.6], "undetermined", "0.55: between"),  # three votes for malignant are not enough
        ([0.99], "undetermined", "Thin evidence"),
        ([None], "undetermined", "Not classified"),
    ],
)
def test_calibrated_limits_decide(malignant, verdict, words):
    vote = vote_tumor(1, _slices(malignant), calibration=CAREFUL)
    assert vote.verdict == verdict and words in vote.reason
    log_odds = pooled_log_odds([p for p in malignant if p is not None])
    expected = None if log_odds is None else CAREFUL.probability(log_odds)
    assert vote.probability_malignant == expected


def test_the_patient_is_as_probable_as_the_worst_tumor():
    slices = [*_slices([0.1, 0.1], 1), *_slices([0.8, 0.9], 2)]
    diagnosis = vote_patient([1, 2], slices, calibration=CAREFUL)
    assert diagnosis.probability_malignant == max(t.probability_malignant for t in diagnosis.tumors)
    assert diagnosis.verdict == "malignant" and diagnosis.calibration == CAREFUL
    assert vote_patient([1], [], calibration=CAREFUL).calibration is None
    assert vote_patient([], [], calibration=CAREFUL).probability_malignant is None


def test_a_calibrated_third_class_does_not_speak_for_benign():
    slices = [SliceVote(1, z, z, 3.0 * z, 5.0, (0.1, 0.4, 0.5), None) for z in range(2)]
    assert vote_tumor(1, slices, min_slices=1, calibration=Calibration()).mean_probability_malignant == pytest.approx(
        0.8
    )


def test_the_cascade_takes_a_calibration_by_its_json():
    from nephro_monai.engine import cascade_parser
    from nephro_monai.systems import SYSTEMS

    entry = {"_target_": "nephro_monai.structures.Calibration", "temperature": 1.5, "benign_below": 0.2}
    for system in (s for s in SYSTEMS.values() if "classification" in s.tasks):
        parser = cascade_parser(configs=[system.configuration], overrides={"calibration": entry})
        voters = [t for t in parser["inferer"]["transforms"] if t.get("calibration") == "@calibration"]
        assert len(voters) == 1, system.name
    transform = cascade_parser(overrides={"calibration": entry}).get_parsed_content("inferer#transforms#7")
    assert transform.calibration == Calibration(1.5, 0.2, 0.5)


def test_a_tumor_without_a_kidney_gets_no_verdict():
    slices = _slices([0.9] * 4)
    case = {"tumors": [Tumor(1, "right", Box(0, 0, 0, 4, 4, 4), 30.0, (0.0, 0.0, 0.0), 40.0)], "slice_votes": slices}
    assert VoteMalignancyd()(case)["diagnosis"].verdict == "malignant"  # nobody measured kidneys
    assert VoteMalignancyd()({**case, "kidney_findings": ["a kidney"]})["diagnosis"].verdict == "malignant"
    doubtful = VoteMalignancyd()({**case, "kidney_findings": []})["diagnosis"]
    assert (doubtful.verdict, doubtful.agreement) == ("undetermined", None)
    assert doubtful.reason.startswith("A tumor was outlined but no kidney")
    assert [tumor.verdict for tumor in doubtful.tumors] == ["undetermined"]
    assert doubtful.votes == {"benign": 0, "malignant": 4} and doubtful.mean_probability_malignant == pytest.approx(0.9)


def test_a_scan_without_a_kidney_says_so():
    nothing = {"tumors": [], "slice_votes": [], "kidney_findings": []}
    assert VoteMalignancyd()(nothing)["diagnosis"].reason.startswith("No kidney was found")
    assert VoteMalignancyd()({**nothing, "kidney_findings": ["a kidney"]})["diagnosis"].reason == "No tumor was found."
