"""Words and numbers for people."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nephro_monai.constants import SYNTHETIC_NOTICE
from nephro_monai.reporting import CaseView, findings
from nephro_monai.structures import Box


@pytest.fixture(scope="module")
def view(make_case):
    return CaseView.from_case(make_case())


def test_notice_follows_what_the_networks_were_trained_on(provenance):
    assert findings.training_notices(None) == [SYNTHETIC_NOTICE]
    assert findings.training_notices(provenance) == [SYNTHETIC_NOTICE]
    other = {**provenance, "segment": {"bundle": "mine", "trained_on": "not known"}}
    notices = " ".join(findings.training_notices(other))
    assert "synthetic CT only: kidney_ct_detection_faster_rcnn, renal_tumor_ct_classification_densenet" in notices
    assert "mine: not known" in notices
    assert SYNTHETIC_NOTICE not in notices


def test_evidence_adds_up(view):
    evidence = findings.evidence(view)
    votes = {vote["name"]: vote["count"] for vote in evidence["votes"]}
    assert votes == {"benign": 1, "malignant": len(view.votes) - 1}
    assert evidence["total"] == len(view.votes)
    assert sum(vote["percent"] for vote in evidence["votes"]) == pytest.approx(100, abs=0.2)


def test_rows_hold_what_was_measured(view):
    (tumor,) = findings.tumor_rows(view)
    assert (tumor["name"], tumor["side"], tumor["diameter"], tumor["verdict"]) == ("T1", "right", "52", "malignant")
    assert float(tumor["volume"]) == pytest.approx(view.tumors[0].volume_ml, abs=0.05)
    assert [row["side"] for row in findings.kidney_rows(view)] == ["right", "left"]


def test_boxes_are_written_with_their_last_voxel(view):
    kidney = replace(view.kidneys[0], box=Box(1, 2, 3, 11, 12, 13))
    (row,) = findings.kidney_rows(replace(view, kidneys=(kidney,)))
    assert row["box"] == "x 1-10, y 2-11, z 3-12"


def test_a_tumor_without_a_vote_says_so(view):
    bare = replace(view, diagnosis=replace(view.diagnosis, tumors=()))
    (row,) = findings.tumor_rows(bare)
    assert row["verdict"] == "undetermined"
    assert "No slice" in row["reason"]


def test_probability_dots_run_from_first_to_last_slice(view):
    chart = findings.probability_dots(view)
    assert chart["dots"][0]["x"] == 0
    assert chart["dots"][-1]["x"] == 100
    assert chart["dots"][0]["y"] == pytest.approx(70)
    assert chart["from_mm"] == view.votes[0].position_mm
    unvoted = tuple(replace(vote, probabilities=None, vote=None) for vote in view.votes)
    assert findings.probability_dots(replace(view, votes=unvoted))["dots"] == []
    assert findings.crop_cards(replace(view, votes=unvoted), [0])[0]["vote"] == "not classified"


def test_facts_name_the_file_and_the_fallback(view):
    facts = dict(findings.fact_rows(view))
    assert facts["Scan"] == "imaging.nii.gz"
    assert facts["Localization"] == "2 kidney box(es) from 61 detections"
    fallen = replace(view, localization={"fallback": True, "note": "No kidney was detected."})
    facts = dict(findings.fact_rows(fallen))
    assert facts["Localization"] == "fallback to the whole body"
    assert facts["Note of the localizer"] == "No kidney was detected."


def test_seconds_are_relative_to_the_longest(view):
    assert {row["stage"]: row["percent"] for row in findings.second_rows(view)}["segment"] == 100
    assert findings.second_rows(replace(view, seconds={})) == []
