"""Which cases there are on both sides."""

from __future__ import annotations

import json

import pytest

from nephro_monai.errors import TrainingDataError
from nephro_monai.evaluation.cohort import find_predictions, read_cohort


def test_cohort_reads_records(data):
    cohort = read_cohort(data)
    assert [case.malignant for case in cohort.cases] == [True, False, None, True]
    assert cohort.cases[0].diameter_mm == 15
    assert cohort.cases[2].diameter_mm is None
    assert cohort.description == "Synthetic CT: 2 cases around real label maps, 2 cases of procedural anatomy."


def test_real_data_is_not_called_synthetic(data):
    records = json.loads((data / "kits.json").read_text())
    for record in records:
        del record["synthetic"], record["phantom"]
    (data / "kits.json").write_text(json.dumps(records))
    assert "4 cases; kits.json marks none as synthetic" in read_cohort(data).description
    (data / "kits.json").unlink()
    assert read_cohort(data).cases[0].malignant is None


def test_predictions_of_a_run(predictions):
    (predictions / "summary.csv").write_text(
        "case,status,reason,seconds\ncase_00009,failed,It is empty.,\ncase_00000,done,,12.5\n"
    )
    found = find_predictions(predictions)
    assert sorted(found) == ["case_00000", "case_00001", "case_00002", "case_00003", "case_00009"]
    assert (found["case_00000"].verdict, found["case_00000"].probability, found["case_00000"].seconds) == (
        "malignant",
        0.9,
        12.5,
    )
    assert found["case_00001"].seconds is None
    assert (found["case_00009"].segmentation, found["case_00009"].reason) == (None, "It is empty.")


def test_predictions_named_for_the_challenge(tmp_path):
    for name in ("prediction_00210.nii.gz", "prediction_00211.nii", "prediction_x.nii.gz"):
        (tmp_path / name).touch()
    found = find_predictions(tmp_path)
    assert sorted(found) == ["case_00210", "case_00211"]
    assert found["case_00210"].verdict is None


def test_a_broken_diagnosis_fails_its_case_only(predictions):
    (predictions / "case_00001" / "diagnosis.json").write_text("{")
    found = find_predictions(predictions)
    assert found["case_00001"].segmentation is None
    assert "not valid JSON" in found["case_00001"].reason
    assert found["case_00000"].segmentation is not None


def test_empty_folders_and_broken_records(tmp_path, data):
    with pytest.raises(TrainingDataError, match="No prediction in"):
        find_predictions(tmp_path / "nowhere")
    with pytest.raises(TrainingDataError, match="No case with a true label map"):
        read_cohort(tmp_path / "nowhere")
    (data / "kits.json").write_text("[1]")
    with pytest.raises(TrainingDataError, match="list of records"):
        read_cohort(data)


def test_two_predictions_of_a_case_are_one_too_many(predictions):
    (predictions / "prediction_00001.nii.gz").touch()
    found = find_predictions(predictions)
    assert found["case_00001"].segmentation is None
    assert "2 predictions (case_00001/segmentation.nii.gz and prediction_00001.nii.gz); keep one" in (
        found["case_00001"].reason
    )
    assert found["case_00000"].segmentation is not None


def test_different_records_of_a_case_are_not_used(data):
    records = json.loads((data / "kits.json").read_text())
    (data / "kits.json").write_text(json.dumps([*records, records[1], {**records[0], "malignant": False}]))
    cohort = read_cohort(data)
    assert [case.malignant for case in cohort.cases] == [None, False, None, True]
    assert "different records of case_00000" in cohort.notes[0]
    assert "no record of case_00000" in cohort.notes[1]


def test_the_parent_of_data_will_do(data):
    assert len(read_cohort(data.parent).cases) == 4


def test_slices_of_a_diagnosis(predictions):
    path = predictions / "case_00000" / "diagnosis.json"
    slices = [
        {"native_slice_index": 9, "probabilities": {"benign": 0.3, "malignant": 0.7}, "vote": "malignant"},
        {"native_slice_index": 3, "probabilities": None, "vote": None},
    ]
    path.write_text(json.dumps({"verdict": "malignant", "mean_probability_malignant": 0.7, "slices": slices}))
    found = find_predictions(predictions)["case_00000"].slices
    assert [(s.index, s.probability, s.vote) for s in found] == [(9, 0.7, "malignant")]
    path.write_text(json.dumps({"verdict": "malignant", "mean_probability_malignant": 1.7}))
    assert "0..1, got 1.7" in find_predictions(predictions)["case_00000"].reason


@pytest.mark.parametrize(
    ("diagnosis", "expected"),
    [
        ({"mean_probability_malignant": 0.4, "tumors": []}, 0.4),
        ({"mean_probability_malignant": 0.4, "tumors": [{"mean_probability_malignant": 0.2}, {}]}, 0.2),
        (
            {
                "mean_probability_malignant": 0.4,
                "tumors": [{"mean_probability_malignant": 0.2}, {"mean_probability_malignant": 0.9}],
            },
            0.9,
        ),
        (
            {
                "mean_probability_malignant": 0.4,
                "models": [{"model": "fold 1"}],
                "tumors": [{"mean_probability_malignant": 0.9}],
            },
            0.4,
        ),
        ({"probability_malignant": 0.7, "tumors": [{"mean_probability_malignant": 0.9}]}, 0.7),
        ({"mean_probability_malignant": None, "tumors": [{"mean_probability_malignant": None}]}, None),
    ],
)
def test_probability_of_a_patient_is_that_of_the_most_probably_malignant_tumor(predictions, diagnosis, expected):
    path = predictions / "case_00000" / "diagnosis.json"
    path.write_text(json.dumps({"verdict": "malignant", **diagnosis}))
    assert find_predictions(predictions)["case_00000"].probability == expected
