"""Folds of a cross-validation: who is where, the file, and files of other data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nephro_monai.data.fold_plan import (
    FoldPlan,
    PlannedFold,
    dataset_fingerprint,
    named_split,
    plan_folds,
    read_fold_plan,
)
from nephro_monai.errors import TrainingDataError


@pytest.fixture
def make_cases(tmp_path: Path):
    """Cases with files behind them; kinds are M(alignant), B(enign) and N(one)."""

    def make(kinds: str, patients: list[str] | None = None, folder: str = "data") -> list[dict]:
        cases = []
        for i, kind in enumerate(kinds):
            case = tmp_path / folder / f"case_{i:05d}"
            case.mkdir(parents=True, exist_ok=True)
            (case / "imaging.nii.gz").write_bytes(b"i" * (10 + i))
            (case / "segmentation.nii.gz").write_bytes(f"labels {i}".encode())
            cases.append({
                "case": case.name, "image": str(case / "imaging.nii.gz"), "label": str(case / "segmentation.nii.gz"),
                "malignant": {"M": True, "B": False, "N": None}[kind],
                "patient": patients[i] if patients else case.name,
            })  # fmt: skip
        return cases

    return make


def kinds_of(cases: list[dict], names: tuple[str, ...]) -> list[bool | None]:
    return [case["malignant"] for case in cases if case["case"] in names]


def test_every_case_is_held_out_once_and_never_trained_on_in_its_fold(make_cases):
    cases = make_cases("MMMMMMBBBBBBMMMMBBBBNN")
    plan = plan_folds(cases, 4, calibration_fraction=0.25)
    assert sorted(name for fold in plan.folds for name in fold.test) == [case["case"] for case in cases]
    for fold in plan.folds:
        parts = [*fold.test, *fold.training, *fold.calibration]
        assert len(parts) == len(set(parts)) == len(cases)
        held_out = kinds_of(cases, fold.test)
        assert 2 <= held_out.count(True) <= 3 and 2 <= held_out.count(False) <= 3
        assert {True, False} <= set(kinds_of(cases, fold.calibration))
        assert 3 <= len(fold.calibration) <= 6
    assert plan.notes == ()


def test_patients_are_never_split(make_cases):
    patients = [f"p{i // 2}" for i in range(16)]
    cases = make_cases("MMBBMMBBMMBBMMBB", patients)
    of = dict(zip((c["case"] for c in cases), patients, strict=True))
    for fold in plan_folds(cases, 2, calibration_fraction=0.4).folds:
        groups = [{of[name] for name in part} for part in (fold.test, fold.training, fold.calibration)]
        assert sum(map(len, groups)) == len(set.union(*groups)) == 8


def test_same_seed_same_folds_whatever_the_order(make_cases):
    cases = make_cases("MMMMBBBB")
    assert plan_folds(cases, 2) == plan_folds(cases[::-1], 2)
    assert plan_folds(cases, 2, seed=1).folds != plan_folds(cases, 2).folds


def test_one_benign_case_is_told_of_and_not_calibrated(make_cases):
    plan = plan_folds(make_cases("MMMMMMMB"), 2, calibration_fraction=0.25)
    text = " ".join(plan.notes)
    assert "holds no benign case: its specificity and AUC are not defined" in text
    assert text.count("is not calibrated") == 2
    assert all(not fold.calibration for fold in plan.folds)


def test_fewer_cases_of_each_kind_than_folds(make_cases):
    plan = plan_folds(make_cases("MBN"), 3)
    assert sorted(len(fold.test) for fold in plan.folds) == [1, 1, 1]


def test_unknown_malignancy(make_cases):
    plan = plan_folds(make_cases("NNNN"), 2, calibration_fraction=0)
    assert len(plan.notes) == 4 and all(len(fold.training) == 2 for fold in plan.folds)


@pytest.mark.parametrize(("kinds", "folds"), [("M", 5), ("M", 2), ("MB", 3)])
def test_too_few_cases(make_cases, kinds, folds):
    with pytest.raises(TrainingDataError, match=rf"need at least {folds} patients.*got {len(kinds)}"):
        plan_folds(make_cases(kinds), folds)


@pytest.mark.parametrize("bad", [{"folds": 1}, {"stratify": "age"}, {"calibration_fraction": 0.9}])
def test_settings_out_of_range(make_cases, bad):
    with pytest.raises(ValueError, match="at least 2, stratified by malignancy or none"):
        plan_folds(make_cases("MB"), **{"folds": 2, **bad})


def test_file_comes_back_as_it_went(make_cases, tmp_path):
    cases = make_cases("MMMMBBBB")
    plan = plan_folds(cases, 2)
    plan.write(tmp_path / "folds.json")
    assert read_fold_plan(tmp_path / "folds.json", cases) == plan
    moved = make_cases("MMMMBBBB", folder="elsewhere")
    assert read_fold_plan(tmp_path / "folds.json", moved) == plan


def test_file_of_another_data_set(make_cases, tmp_path):
    cases = make_cases("MMMMBBBB")
    plan_folds(cases, 2).write(tmp_path / "folds.json")
    with pytest.raises(TrainingDataError, match=r"another data set: it has 8 cases, the data folder 6.*case_00006"):
        read_fold_plan(tmp_path / "folds.json", cases[:6])
    Path(cases[3]["label"]).write_bytes(b"other labels")
    with pytest.raises(TrainingDataError, match="other images, label maps or records"):
        read_fold_plan(tmp_path / "folds.json", cases)


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 2}', '{"format": 1, "folds": [{"test": []}], "notes": []}'])
def test_broken_file(make_cases, tmp_path, content):
    (tmp_path / "folds.json").write_text(content)
    with pytest.raises(TrainingDataError, match="no file of folds"):
        read_fold_plan(tmp_path / "folds.json", make_cases("MB"))


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ([("01", "0234", ""), ("234", "01", "")], "in fold 0, case_00000 is in test and in training"),
        ([("01", "234", ""), ("234", "01", "1")], "in fold 1, case_00001 is in training and in calibration"),
        (
            [("014", "2", "3"), ("23", "01", "")],
            "in fold 0, the patient of case_00003 and case_00004 is in test and in",
        ),
        ([("01", "234", ""), ("234", "017", "")], r"case_00007 \(training of fold 1\) is no case"),
        ([("01", "234", ""), ("1234", "0", "")], r"case_00001 is tested 2 times \(folds 0, 1\)"),
        ([("01", "34", ""), ("2344", "01", "")], r"case_00004 is tested 2 times \(folds 1, 1\)"),
        ([("01", "", "34"), ("234", "01", "")], "fold 0 has no training case"),
        ([("", "01", ""), ("01234", "", "")], "fold 0 has no test case"),
    ],
)
def test_file_whose_folds_leak(make_cases, tmp_path, folds, message):
    cases = make_cases("MMMBB", ["p0", "p1", "p2", "p3", "p3"])
    planned = tuple(
        PlannedFold(*(tuple(f"case_{int(digit):05d}" for digit in part) for part in parts)) for parts in folds
    )
    FoldPlan(dataset_fingerprint(cases), 0, "none", planned).write(tmp_path / "folds.json")
    with pytest.raises(TrainingDataError, match=message):
        read_fold_plan(tmp_path / "folds.json", cases)


def test_fingerprint_sees_what_matters(make_cases):
    cases = make_cases("MB")
    before = dataset_fingerprint(cases)
    assert dataset_fingerprint(cases[::-1]) == before
    assert dataset_fingerprint([{**cases[0], "malignant": None}, cases[1]]) != before
    assert dataset_fingerprint([{**cases[0], "patient": "p"}, cases[1]]) != before
    Path(cases[0]["image"]).write_bytes(b"longer than it was")
    assert dataset_fingerprint(cases) != before


def test_named_split_for_train_json(make_cases):
    cases = make_cases("MBMB")
    split = named_split(cases, ["case_00002", "case_00000"], ["case_00001"])
    assert [case["case"] for case in split.training] == ["case_00002", "case_00000"]
    assert [case["case"] for case in split.validation] == ["case_00001"]
    with pytest.raises(TrainingDataError, match=r"case_00007 \(1 of 2 cases of this fold\) lack a file"):
        named_split(cases, ["case_00000"], ["case_00007"])


def test_plan_is_plain_json(make_cases, tmp_path):
    plan_folds(make_cases("MMBB"), 2).write(tmp_path / "folds.json")
    content = json.loads((tmp_path / "folds.json").read_text())
    assert list(content) == ["format", "fingerprint", "seed", "stratify", "folds", "notes"]
    assert isinstance(FoldPlan("", 0, "none", ()).folds, tuple)
