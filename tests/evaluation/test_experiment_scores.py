"""Records by hand, from networks and data that are known."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from nephro_monai.engine.bundles import read_configs
from nephro_monai.errors import BundleError
from nephro_monai.evaluation import experiment_scores as scores
from nephro_monai.evaluation.experiment_figures import row_figures
from nephro_monai.evaluation.experiment_plan import Training
from nephro_monai.evaluation.experiment_rounds import Round
from nephro_monai.evaluation.experiment_scores import Scoring, score_row
from nephro_monai.evaluation.experiment_trainings import ExperimentOptions, TrainedRun
from nephro_monai.networks.two_step_head import MultiTaskOutput


@pytest.fixture
def scoring(tmp_path):
    training = Training(name="one", bundle="renal_tumor_ct_classification_densenet")
    run = TrainedRun(training, tmp_path / "run", {})
    held_out = ({"case": "case_00000", "malignant": True}, {"case": "case_00001", "malignant": False})
    options = ExperimentOptions(data=tmp_path, out=tmp_path, device="cpu")
    return lambda kind, **score: Scoring(
        {"kind": kind, **score}, Round(0, 0, held_out, ()), options, {"one": run}, tmp_path / "scores"
    )


def test_unknown_scorer(scoring):
    with pytest.raises(BundleError, match="no scorer 'guess'; the kinds are tumor_slices"):
        score_row(scoring("guess"))


@pytest.mark.parametrize(
    "bundle",
    [
        "renal_tumor_ct_classification_densenet", "renal_tumor_ct_classification_inception",
        "renal_tumor_ct_patient_classification",
    ],
)  # fmt: skip
def test_tumor_slices_read_what_the_bundle_wrote(scoring, monkeypatch, bundle):
    items = [
        {"case": "case_00000", "label": 1, "largest": True, "meta": {"filename_or_obj": "a"}},
        {"case": "case_00000", "label": 1, "largest": False, "meta": {"filename_or_obj": "b"}},
        {"case": "case_00001", "label": -1, "meta": {"filename_or_obj": "c"}},
    ]
    given = {}

    def read(bundle, configs, settings):
        given.update(settings, configs_read=configs)
        return read_configs(bundle, ("inference.json",), settings)  # all of them are ids that it has

    def make(parser, key):
        if key == "run":
            with (row.folder / "predictions.csv").open("w", newline="") as file:
                csv.writer(file).writerows([["a", 0.2, 0.8], ["b", 0.6, 0.4], ["c", 0.5, 0.5]])
        return items

    row = scoring("tumor_slices")
    (run,) = row.runs.values()
    row = replace(row, runs={"one": replace(run, training=replace(run.training, bundle=bundle))})
    monkeypatch.setattr(scores, "read_configs", read)
    monkeypatch.setattr(scores, "instantiate", make)
    (record,) = score_row(row)
    assert record == {
        "case": "case_00000", "malignant": True,
        "slices": [
            {"probability": 0.8, "largest": True, "verdict": "malignant"},
            {"probability": 0.4, "largest": False, "verdict": "benign"},
        ],
    }  # fmt: skip
    assert given["slices#cases"] == list(row.turn.held_out) and given["weights"].endswith("run/model.pt")
    assert given["configs_read"][0] == "inference.json" and given["configs_read"][-1].endswith("run/inference.json")


class _Fixed(torch.nn.Module):
    """Outlines everything as tumor in the first image of a batch and nothing in the others."""

    def outputs(self, image):
        ternary = torch.zeros(len(image), 3, 4, 4)
        ternary[0, 2], ternary[1:, 0] = 5.0, 5.0
        classes = torch.log(torch.tensor([[0.2, 0.6, 0.2]])).repeat(len(image), 1)
        return MultiTaskOutput(ternary=ternary, classes=classes)


def test_kidney_slices_add_up_per_case(scoring, monkeypatch):
    label = torch.zeros(3, 1, 4, 4, dtype=torch.uint8)
    label[0, 0, :2], label[1, 0, :2] = 2, 1
    batch = {
        "image": torch.zeros(3, 1, 4, 4), "label": label, "slice_class": torch.tensor([1, 2, 2]),
        "case": ["case_00000", "case_00000", "case_00001"],
    }  # fmt: skip
    monkeypatch.setattr(Scoring, "training_parser", lambda self: None)
    monkeypatch.setattr(Scoring, "trained", lambda self, parser: _Fixed())
    monkeypatch.setattr(scores, "instantiate", lambda parser, key: [batch])
    first, second = score_row(scoring("kidney_slices"))
    assert first["kidney_dice"] == pytest.approx(2 * 8 / (16 + 16)) and first["tumor_dice"] == pytest.approx(16 / 24)
    assert (first["malignant"], second["malignant"], second["tumor_dice"]) == (True, False, None)
    assert first["slices"][0] == {
        "probability": pytest.approx(0.75), "largest": True, "verdict": "malignant", "truth": "malignant",
    }  # fmt: skip
    assert first["slices"][1]["truth"] == "normal"


def test_patients_whose_slices_show_only_specks_of_tumor_count(scoring, monkeypatch):
    """Their slices stay normal; their own class is the record's, and one without any has none."""
    batch = {
        "image": torch.zeros(4, 1, 4, 4), "label": torch.zeros(4, 1, 4, 4, dtype=torch.uint8),
        "slice_class": torch.tensor([2, 2, 2, -1]), "case": ["case_00000", "case_00000", "case_00001", "case_00002"],
    }  # fmt: skip
    monkeypatch.setattr(Scoring, "training_parser", lambda self: None)
    monkeypatch.setattr(Scoring, "trained", lambda self, parser: _Fixed())
    monkeypatch.setattr(scores, "instantiate", lambda parser, key: [batch])
    records = score_row(scoring("kidney_slices"))
    assert [record["malignant"] for record in records] == [True, False, None]
    assert {answer["truth"] for record in records[:2] for answer in record["slices"]} == {"normal"}
    figures = row_figures(records, {})
    assert figures["vote.sensitivity"]["value"] == 1.0 and figures["vote.specificity"]["value"] == 0.0
    assert figures["vote.accuracy"]["over"] == "1 malignant, 1 benign cases"
    assert figures["slice_accuracy"]["value"] == 0.0 and "3 slices of 2 cases" in figures["slice_accuracy"]["over"]
    assert "slice.accuracy" not in figures  # no slice shows a tumor


def test_detections_with_and_without_kidneys(scoring, monkeypatch):
    box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    rows = torch.tensor([[0.0, 0.0, 10.0, 10.0, 0.9, 1.0], [30.0, 30.0, 40.0, 40.0, 0.8, 1.0], [0, 0, 10, 10, 0.1, 1]])
    slices = [(torch.zeros(1, 8, 8), {"boxes": box}), (torch.zeros(1, 8, 8), {"boxes": torch.zeros(0, 4)})]
    monkeypatch.setattr(Scoring, "training_parser", lambda self, overrides=None: None)
    monkeypatch.setattr(Scoring, "trained", lambda self, parser: lambda image: rows.t()[None])
    monkeypatch.setattr(scores, "instantiate", lambda parser, key: slices)
    first, _ = score_row(scoring("detection"))
    assert first == {"case": "case_00000", "kidney_slices": [1, 1, 0], "all_slices": [1, 3, 0]}


def test_the_cascade_takes_the_trained_networks(scoring, monkeypatch):
    given = {}
    row = scoring("cascade", configs=["enet_two_stage.json"], stages={"localizer": "one"})
    for case in row.turn.held_out:
        case["image"] = f"{case['case']}/imaging.nii.gz"
    outcomes = [SimpleNamespace(status="done", reason="")]

    def parse(configs, overrides):
        given.update(overrides, configs=configs, overlay=configs[-1].read_text())

    monkeypatch.setattr(scores, "cascade_parser", parse)
    monkeypatch.setattr(scores, "instantiate", lambda parser, key: SimpleNamespace(run=lambda: outcomes))
    found = SimpleNamespace(case="case_00000", malignant=True, kidney_dice=0.9, tumor_dice=0.4, has_tumor=False)
    monkeypatch.setattr(scores, "evaluate_cohort", lambda *args, **kwargs: ([found], {}))
    (record,) = score_row(row)
    assert record["kidney_dice"] == 0.9 and record["tumor_dice"] is None
    assert given["inputs"] == ["case_00000/imaging.nii.gz", "case_00001/imaging.nii.gz"]
    assert '"localizer#weights"' in given["overlay"] and "run/model.pt" in given["overlay"]
    monkeypatch.setattr(scores, "list_training_cases", lambda folder: [{"case": "r", "image": "r/imaging.nii.gz"}])
    with_real = replace(row, options=replace(row.options, real=Path("real")))
    first, second = score_row(with_real)
    assert first == record and given["inputs"] == ["r/imaging.nii.gz"]
    assert second == {"case": "case_00000", "real_kidney_dice": 0.9, "real_tumor_dice": None}
    outcomes[:] = [SimpleNamespace(status="failed", reason="no kidneys")] * 2
    with pytest.raises(ValueError, match=r"failed on every case of .*, first with: no kidneys"):
        score_row(row)
