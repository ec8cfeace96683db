"""A split by names never splits a patient."""

from __future__ import annotations

import pytest

from nephro_monai.data import listed_split
from nephro_monai.errors import TrainingDataError

CASES = [{"case": f"case_{i:05d}", "patient": f"p{i // 2}"} for i in range(6)]


def test_named_cases_are_held_out():
    split = listed_split(CASES, ["case_00003", "case_00002"])
    assert [case["case"] for case in split.validation] == ["case_00002", "case_00003"]
    assert [case["case"] for case in split.training] == ["case_00000", "case_00001", "case_00004", "case_00005"]


def test_cases_without_a_group_are_patients_of_their_own():
    assert len(listed_split([{"case": "a"}, {"case": "b"}], ["a"]).training) == 1


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        (["case_00009"], "case_00009 .1 cases. that the data folder does not have"),
        ([case["case"] for case in CASES], "holds out every case"),
        (["case_00002"], "patient p1 on both sides"),
    ],
)
def test_splits_that_cannot_be(held_out, message):
    with pytest.raises(TrainingDataError, match=message):
        listed_split(CASES, held_out)
