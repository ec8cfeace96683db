from __future__ import annotations

import pytest

from nephro_monai.data import split_cases

CASES = [{"case": f"case_{i:05d}", "patient": f"p{i // 2}"} for i in range(20)]


def names(cases):
    return [case["case"] for case in cases]


def test_same_seed_same_split_in_any_order():
    first = split_cases(CASES, 0.25, seed=3)
    assert first == split_cases(CASES[::-1], 0.25, seed=3)
    assert first != split_cases(CASES, 0.25, seed=4)
    assert len(first.validation) == 5
    assert sorted(names(first.training) + names(first.validation)) == names(CASES)


def test_patients_stay_together():
    split = split_cases(CASES, 0.3, group_key="patient")
    assert not {c["patient"] for c in split.training} & {c["patient"] for c in split.validation}
    assert len(split.validation) == 6


def test_bounds():
    assert split_cases(CASES, 0.0).validation == []
    assert len(split_cases(CASES[:2], 0.01).validation) == 1
    assert len(split_cases(CASES[:3], 0.99).training) == 1
    with pytest.raises(ValueError, match=r"below 1, got 1\.0"):
        split_cases(CASES, 1.0)
    with pytest.raises(ValueError, match="at least 2 patients"):
        split_cases(CASES[:1], 0.5)
