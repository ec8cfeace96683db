"""`diagnosis.json` as people and programs read it."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from monai.data import MetaTensor

from nephro_monai.constants import DISCLAIMER, SYNTHETIC_NOTICE
from nephro_monai.io import SaveDiagnosisd
from nephro_monai.structures import Box, Calibration, Diagnosis, Kidney, ModelVote, Scan, SliceVote, Tumor, TumorVote

PROVENANCE = {"localizer": {"bundle": "b", "version": "0.1.0", "sha256": "ab12", "trained_on": "synthetic CT"}}


@pytest.fixture
def case():
    affine = torch.diag(torch.tensor([0.5, 0.5, 2.0, 1.0], dtype=torch.float64))
    affine[:3, 3] = torch.tensor([-10.0, -20.0, 100.0])
    votes = (
        SliceVote(1, 4, 15, 108.0, 312.345, (0.25, 0.75), "malignant"),
        SliceVote(1, 5, 14, 110.0, 300.0, (float("nan"), 0.5), "malignant"),
    )
    tumor_vote = TumorVote(1, "malignant", "2 of 2 slices say malignant.", 0.625, {"benign": 0, "malignant": 2}, 1.0)
    return {
        "case": "case_1",
        "image": MetaTensor(torch.zeros(1, 40, 40, 20), affine=affine),
        "scan": Scan("/a/b.nii.gz", "nifti", (20, 40, 40), ((0, 0, -0.5, 0),) * 4, "IPL", ("a note",), 2, 0),
        "kidneys": [Box(0, 1, 2, 20, 21, 12)],
        "localization": {"found": True, "fallback": False, "note": "", "detections": torch.tensor(7)},
        "kidney_findings": [Kidney("right", Box(2, 2, 2, 12, 12, 12), 150.126, (1.0, -0.0, 3.14159))],
        "tumors": [Tumor(1, "right", Box(4, 4, 3, 8, 8, 6), 12.3456, (1.0, 2.0, 3.0), 31.77)],
        "diagnosis": Diagnosis(
            "malignant", "The tumor.", 0.625, {"benign": 0, "malignant": 2}, 1.0, (tumor_vote,), votes
        ),
    }


def test_holds_the_whole_evidence(case, tmp_path):
    assert SaveDiagnosisd(tmp_path, PROVENANCE)(case) == case
    text = (tmp_path / "case_1" / "diagnosis.json").read_text(encoding="utf-8")
    found = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert found["schema_version"] == "1.0"
    assert found["disclaimer"] == DISCLAIMER
    assert found["training_notice"] == SYNTHETIC_NOTICE
    assert (found["verdict"], found["reason"], found["agreement"]) == ("malignant", "The tumor.", 1.0)
    assert found["mean_probability_malignant"] == 0.625
    assert found["votes"] == {"benign": 0, "malignant": 2}
    kidney, tumor = found["kidneys"][0], found["tumors"][0]
    assert (kidney["side"], kidney["volume_ml"], kidney["center_mm"]) == ("right", 150.13, [1.0, 0.0, 3.14])
    assert kidney["box_voxels_ras"] == [2, 2, 2, 12, 12, 12]
    assert kidney["box_mm"] == [-9.25, -19.25, 103.0, -4.25, -14.25, 123.0]
    assert (tumor["volume_ml"], tumor["largest_diameter_mm"], tumor["verdict"]) == (12.35, 31.8, "malignant")
    first, second = found["slices"]
    assert first == {
        "tumor": 1, "native_slice_index": 15, "ras_slice_index": 4, "position_mm": 108.0, "area_mm2": 312.3,
        "probabilities": {"benign": 0.25, "malignant": 0.75}, "vote": "malignant",
    }  # fmt: skip
    assert second["probabilities"]["benign"] is None
    assert found["localization"]["detections"] == 7
    assert found["localization"]["boxes"][0]["box_voxels_ras"] == [0, 1, 2, 20, 21, 12]
    assert (found["scan"]["path"], found["scan"]["axes"], found["scan"]["notes"]) == ("/a/b.nii.gz", "IPL", ["a note"])
    assert found["provenance"] == PROVENANCE


def test_the_same_case_gives_the_same_bytes(case, tmp_path):
    for name in ("a", "b"):
        SaveDiagnosisd(tmp_path / name, PROVENANCE)(case)
    first, second = (tmp_path / name / "case_1" / "diagnosis.json" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def test_a_case_without_tumor_localizer_and_classifier(case, tmp_path):
    for key in ("kidneys", "localization"):
        del case[key]
    case |= {"kidney_findings": [], "tumors": [], "diagnosis": Diagnosis("undetermined", "No tumor was found.")}
    SaveDiagnosisd(tmp_path)(case)
    found = json.loads((tmp_path / "case_1" / "diagnosis.json").read_text())
    assert (found["verdict"], found["slices"], found["tumors"], found["localization"]) == ("undetermined", [], [], None)
    assert found["mean_probability_malignant"] is None


def test_training_on_other_data_is_said(case, tmp_path):
    provenance = {"segmenter": {"bundle": "mine", "trained_on": "KiTS19"}, "cut": math.inf}
    SaveDiagnosisd(tmp_path, provenance)(case)
    found = json.loads((tmp_path / "case_1" / "diagnosis.json").read_text())
    assert found["training_notice"] == "Trained on: mine: KiTS19."
    assert found["provenance"]["cut"] is None


def test_probabilities_of_three_classes_are_named(case, tmp_path):
    vote = SliceVote(1, 4, 15, 108.0, 312.3, (0.2, 0.7, 0.1), "malignant")
    case["diagnosis"] = Diagnosis("malignant", "The tumor.", 0.78, slices=(vote,))
    SaveDiagnosisd(tmp_path)(case)
    (found,) = json.loads((tmp_path / "case_1" / "diagnosis.json").read_text(encoding="utf-8"))["slices"]
    assert found["probabilities"] == {"benign": 0.2, "malignant": 0.7, "normal": 0.1}


def test_votes_of_patient_level_models_are_listed(case, tmp_path):
    models = (ModelVote("fold 1", 0.81239, "malignant"), ModelVote("fold 2", 0.2, "benign"))
    SaveDiagnosisd(tmp_path, PROVENANCE)({**case, "diagnosis": replace(case["diagnosis"], models=models)})
    found = json.loads((tmp_path / "case_1" / "diagnosis.json").read_text(encoding="utf-8"))
    assert found["models"] == [
        {"model": "fold 1", "probability_malignant": 0.8124, "vote": "malignant"},
        {"model": "fold 2", "probability_malignant": 0.2, "vote": "benign"},
    ]
    SaveDiagnosisd(tmp_path, PROVENANCE)(case)
    assert "models" not in json.loads((tmp_path / "case_1" / "diagnosis.json").read_text(encoding="utf-8"))


def test_a_calibration_is_written_where_it_decided(case, tmp_path):
    SaveDiagnosisd(tmp_path, PROVENANCE)(case)
    assert "calibration" not in json.loads((tmp_path / "case_1" / "diagnosis.json").read_text())
    calibration = Calibration(1.23456789, 0.2, 0.6, 0.9, 31)
    (tumor,) = case["diagnosis"].tumors
    diagnosis = replace(
        case["diagnosis"], calibration=calibration, probability_malignant=0.71239,
        tumors=(replace(tumor, probability_malignant=0.71239),),
    )  # fmt: skip
    SaveDiagnosisd(tmp_path, PROVENANCE)({**case, "diagnosis": diagnosis})
    found = json.loads((tmp_path / "case_1" / "diagnosis.json").read_text())
    assert found["probability_malignant"] == found["tumors"][0]["probability_malignant"] == 0.7124
    assert found["calibration"] == {
        "temperature": 1.234568, "benign_below": 0.2, "malignant_from": 0.6, "sensitivity": 0.9, "patients": 31,
    }  # fmt: skip


def test_warnings_are_written_where_the_scan_was_checked(case, tmp_path):
    def written(data):
        SaveDiagnosisd(tmp_path, PROVENANCE)(data)
        return json.loads((tmp_path / "case_1" / "diagnosis.json").read_text(encoding="utf-8"))

    assert "warnings" not in written(case)
    assert written({**case, "warnings": ()})["warnings"] == []
    assert written({**case, "warnings": ("Slices are thick.",)})["warnings"] == ["Slices are thick."]
