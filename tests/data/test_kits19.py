from __future__ import annotations

import json
from pathlib import Path

import pytest

from nephro_monai.data import list_training_cases, split_cases
from nephro_monai.errors import TrainingDataError


def make(root: Path, name: str, *files: str) -> None:
    (root / name).mkdir(parents=True)
    for file in files:
        (root / name / f"{file}.nii.gz").touch()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "kits19" / "data"
    make(data, "case_00002", "imaging", "segmentation", "tissues")
    make(data, "case_00000", "imaging", "segmentation")
    make(data, "case_00210", "imaging")
    make(data, "extras", "imaging", "segmentation")
    records = [
        {"case_id": "case_00000", "malignant": False, "tumor_histologic_subtype": "oncocytoma"},
        {"case_id": "case_00210", "malignant": True},
    ]
    (data / "kits.json").write_text(json.dumps(records))
    return data


def test_cases_in_order_with_what_is_known(folder):
    first, second = list_training_cases(folder)
    assert first == {
        "case": "case_00000",
        "image": str(folder / "case_00000" / "imaging.nii.gz"),
        "label": str(folder / "case_00000" / "segmentation.nii.gz"),
        "patient": "case_00000",
        "malignant": False,
        "subtype": "oncocytoma",
    }
    assert second["case"] == "case_00002" and second["malignant"] is None
    assert second["tissues"] == str(folder / "case_00002" / "tissues.nii.gz")


def test_synthetic_cases_around_one_label_map_are_one_patient(folder):
    records = [
        {"case_id": "case_00000", "phantom": {"source_label_case": "case_00092"}},
        {"case_id": "case_00002", "phantom": {"source_label_case": "case_00092"}},
        {"case_id": "case_00210", "phantom": {"source_label_case": None}},
    ]
    (folder / "kits.json").write_text(json.dumps(records))
    cases = list_training_cases(folder, ["imaging"])
    assert [case["patient"] for case in cases] == ["case_00092", "case_00092", "case_00210"]
    split = split_cases(cases, 0.5)
    assert sorted(len(half) for half in split) == [1, 2]


def test_the_phantom_names_its_source_where_it_is_read(phantom_cohort):
    records = json.loads((phantom_cohort / "kits.json").read_text())
    assert all("source_label_case" in record["phantom"] for record in records)
    assert [c["patient"] for c in list_training_cases(phantom_cohort)] == [r["case_id"] for r in records]


def test_the_subtype_says_what_the_record_does_not(folder):
    (folder / "kits.json").write_text(
        json.dumps(
            [
                {"case_id": "case_00000", "tumor_histologic_subtype": "angiomyolipoma"},
                {"case_id": "case_00002", "tumor_histologic_subtype": "papillary", "malignant": None},
            ]
        )
    )
    assert [case["malignant"] for case in list_training_cases(folder)] == [False, True]


def test_the_root_of_kits19_serves_too(folder):
    assert list_training_cases(folder.parent) == list_training_cases(folder)


def test_other_requirements(folder):
    assert [c["case"] for c in list_training_cases(folder, ["imaging"])] == ["case_00000", "case_00002", "case_00210"]
    assert [c["case"] for c in list_training_cases(folder, ["imaging", "tissues"])] == ["case_00002"]
    with pytest.raises(ValueError, match="labels"):
        list_training_cases(folder, ["labels"])


def test_malignancy_is_asked_for(folder):
    with pytest.raises(TrainingDataError, match=r"case_00002 \(1 of 2 cases\)"):
        list_training_cases(folder, need_malignancy=True)
    (folder / "kits.json").unlink()
    assert len(list_training_cases(folder)) == 2
    with pytest.raises(TrainingDataError, match=r"kits\.json is missing"):
        list_training_cases(folder, need_malignancy=True)


def test_broken_records_and_empty_folders(folder, tmp_path):
    (folder / "kits.json").write_text('[{"malignant": true}]')
    with pytest.raises(TrainingDataError, match="case_id"):
        list_training_cases(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingDataError, match="nephro phantom"):
        list_training_cases(tmp_path / "empty")
    with pytest.raises(TrainingDataError, match="is no folder"):
        list_training_cases(tmp_path / "absent")
