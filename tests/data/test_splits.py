from __future__ import annotations

import pytest

from nephro_monai.data import split_cases, stratified_fold

CASES = [{"case": f"case_{i:05d}", "patient": f"p{i // 2}"} for i in range(20)]


def names(cases):
    return [case["case"] for case in cases]


def test_same_seed_same_split_in_any_order():
    first = split_cases(CASES, 0.25, seed=3, group_key="case")
    assert first == split_cases(CASES[::-1], 0.25, seed=3, group_key="case")
    assert first != split_cases(CASES, 0.25, seed=4, group_key="case")
    assert len(first.validation) == 5
    assert sorted(names(first.training) + names(first.validation)) == names(CASES)


def test_patients_stay_together():
    split = split_cases(CASES, 0.3)
    assert not {c["patient"] for c in split.training} & {c["patient"] for c in split.validation}
    assert len(split.validation) == 6


def test_bounds():
    assert split_cases(CASES, 0.0).validation == []
    apart = [{"case": case["case"]} for case in CASES]  # no group named: each case is a patient
    assert len(split_cases(apart[:2], 0.01).validation) == 1
    assert len(split_cases(apart[:3], 0.99).training) == 1
    with pytest.raises(ValueError, match=r"below 1, got 1\.0"):
        split_cases(CASES, 1.0)
    with pytest.raises(ValueError, match="at least 2 patients"):
        split_cases(CASES[:1], 0.5)


COHORT = [
    {"case": f"case_{i:05d}", "patient": f"p{i % 25}", "malignant": [True, True, True, False, None][i % 25 % 5]}
    for i in range(75)
]


def test_every_case_is_held_out_once_and_patients_stay_together():
    folds = [stratified_fold(COHORT, fold) for fold in range(5)]
    assert sorted(c["case"] for f in folds for c in f.validation) == names(COHORT)
    for fold in folds:
        assert sorted(names(fold.training) + names(fold.validation)) == names(COHORT)
        assert not {c["patient"] for c in fold.training} & {c["patient"] for c in fold.validation}


def test_folds_are_stratified():
    for fold in range(5):
        kinds = [case["malignant"] for case in stratified_fold(COHORT, fold).validation]
        assert (kinds.count(True), kinds.count(False), kinds.count(None)) == (9, 3, 3)


def test_folds_are_the_same_in_any_order():
    assert stratified_fold(COHORT, 2, seed=1) == stratified_fold(COHORT[::-1], 2, seed=1)
    assert stratified_fold(COHORT, 2, seed=1) != stratified_fold(COHORT, 2, seed=2)


def test_impossible_folds_are_refused():
    with pytest.raises(ValueError, match=r"within 0\.\.4, got 5 folds and fold 5"):
        stratified_fold(COHORT, 5)
    with pytest.raises(ValueError, match="5 folds need at least 5 patients, got 3"):
        stratified_fold(COHORT[:3], 0)
