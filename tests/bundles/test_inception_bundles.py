"""Inception radiomics: image-level and patient-level bundle, from training to the cascade's verdict."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from nephro_monai.engine import cascade_parser
from nephro_monai.engine.bundles import find_bundle, read_configs
from nephro_monai.engine.train import TrainOptions, train_bundle
from nephro_monai.errors import WeightsError
from nephro_monai.io import load_label_map

IMAGE, PATIENT = "renal_tumor_ct_classification_inception", "renal_tumor_ct_patient_classification"
SYSTEM = "inception_radiomics.json"
TINY_IMAGE = {"network_def#build#width": 0.0625, "network_def#build#features": 8, "network_def#folds": 3}
TINY_PATIENT = {"network_def#build#features": 8, "network_def#build#hidden": 4, "network_def#folds": 3}
QUICK = {
    "epochs": 1, "batch_size": 4, "validation_interval": 1, "progress": False, "folds": 3, "size": 80,
    "test_fraction": 0.34, "train#trainer#log_every_n_steps": 1,
}  # fmt: skip


def _json(bundle: str, name: str) -> dict:
    return json.loads((find_bundle(bundle) / "configs" / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Override files with tiny networks, by bundle."""
    folder = tmp_path_factory.mktemp("tiny")
    for name, content in ((IMAGE, TINY_IMAGE), (PATIENT, TINY_PATIENT)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    return {name: str(folder / f"{name}.json") for name in (IMAGE, PATIENT)}


@pytest.fixture(scope="module")
def image_weights(tmp_path_factory: pytest.TempPathFactory, tumor_cases: Path) -> Path:
    overrides = {**TINY_IMAGE, **QUICK, "slices_per_epoch": 8}
    out = tmp_path_factory.mktemp("image")
    return train_bundle(
        IMAGE, TrainOptions(data=tumor_cases, out=out, device="cpu", precision="32", overrides=overrides)
    )


@pytest.fixture(scope="module")
def image_settings(image_weights: Path, tiny: dict[str, str]) -> dict[str, object]:
    """Settings that take the tiny image-level network."""
    return {"image_weights": str(image_weights), "image_configs": ["inference.json", tiny[IMAGE]]}


@pytest.fixture(scope="module")
def patient_weights(
    tmp_path_factory: pytest.TempPathFactory, tumor_cases: Path, image_settings: dict[str, object]
) -> Path:
    out = tmp_path_factory.mktemp("patient")
    return train_bundle(
        PATIENT,
        TrainOptions(data=tumor_cases, out=out, device="cpu", overrides={**TINY_PATIENT, **QUICK, **image_settings}),
    )


def test_frozen_random_layers_are_refused(tmp_path: Path, tumor_cases: Path) -> None:
    overrides = {**TINY_IMAGE, **QUICK, "freeze_before": "mixed6"}
    with pytest.raises(WeightsError, match="would freeze random layers"):
        train_bundle(IMAGE, TrainOptions(data=tumor_cases, out=tmp_path, device="cpu", overrides=overrides))


def _predicted(bundle: str, overrides: dict[str, object], out: Path) -> list[list[str]]:
    overrides = {**overrides, "output_dir": str(out), "device_name": "cpu", "size": 80}
    read_configs(bundle, overrides=overrides).get_parsed_content("run")
    with (out / "predictions.csv").open() as file:
        rows = list(csv.reader(file))
    assert all(float(benign) + float(malignant) == pytest.approx(1.0, abs=1e-4) for _, benign, malignant in rows)
    return rows


def test_image_level_inference(image_weights: Path, tumor_cases: Path, tmp_path: Path) -> None:
    overrides = {**TINY_IMAGE, "dataset_dir": str(tumor_cases), "weights": str(image_weights)}
    rows = _predicted(IMAGE, overrides, tmp_path)
    assert len(rows) == 6 * 4  # slices
    assert rows[0][0] == "case_00000_tumor1_z002"


def test_patient_level_inference(
    patient_weights: Path, image_settings: dict[str, object], tumor_cases: Path, tmp_path: Path
) -> None:
    overrides = {
        **TINY_PATIENT, **image_settings, "dataset_dir": str(tumor_cases), "weights": str(patient_weights),
    }  # fmt: skip
    rows = _predicted(PATIENT, overrides, tmp_path)
    assert [row[0] for row in rows] == [f"case_{k:05d}" for k in range(6)]


def test_the_cascade_lets_the_fold_models_vote(
    image_weights: Path, patient_weights: Path, tiny: dict[str, str], tumor_cases: Path
) -> None:
    parser = cascade_parser(configs=[SYSTEM])
    for key, name, weights in (
        ("classifier", IMAGE, image_weights), ("patient_classifier", PATIENT, patient_weights),
    ):  # fmt: skip
        parser[f"{key}#configs"] = ["inference.json", tiny[name]]
        parser[f"{key}#weights"] = str(weights)
    parser["device_name"] = "cpu"
    stages = [
        parser.get_parsed_content(f"inferer#transforms#{k}")
        for k in (0, *range(3, len(parser["inferer"]["transforms"])))
    ]
    folder = tumor_cases / "case_00001"
    case = stages[0]({"image": str(folder / "imaging.nii.gz")})
    case["segmentation"] = load_label_map(folder / "segmentation.nii.gz")
    for stage in stages[1:]:
        case = stage(case)
    diagnosis = case["diagnosis"]
    assert diagnosis.verdict in ("benign", "malignant")
    assert [vote.model for vote in diagnosis.models] == ["fold 1", "fold 2", "fold 3"]
    assert "of 3 patient-level models say" in diagnosis.reason
    assert len(diagnosis.slices) == sum(diagnosis.votes.values()) == 4


@pytest.mark.parametrize("bundle", [IMAGE, PATIENT])
def test_training_and_inference_agree(bundle: str) -> None:
    train, inference = _json(bundle, "train"), _json(bundle, "inference")
    for key in ("colorizer", "region", "crop", "max_slices_per_tumor", "size"):
        assert train[key] == inference[key]


def test_both_bundles_and_the_cascade_agree() -> None:
    image, patient = _json(IMAGE, "train"), _json(PATIENT, "train")
    for key in ("seed", "folds", "test_fraction", "region", "crop", "max_slices_per_tumor", "size", "colorizer"):
        assert image[key] == patient[key]  # the same patients in the same folds, cut and coded alike
    assert image["network_def"]["folds"] == patient["network_def"]["folds"] == image["folds"]
    assert image["network_def"]["build"]["features"] == patient["network_def"]["build"]["features"]
    stages = {
        stage["_target_"].split(".")[-1]: stage for stage in cascade_parser(configs=[SYSTEM])["inferer"]["transforms"]
    }
    assert stages["CropTumorSlicesd"]["region"] == image["region"]
    assert stages["CropTumorSlicesd"]["max_slices_per_tumor"] == image["max_slices_per_tumor"]
    assert stages["CropTumorSlicesd"].get("size", 130) == image["crop"]
    assert stages["ColorizeSlicesd"]["size"] == image["size"]


@pytest.mark.parametrize("base", ["train.json", "inference.json"])
def test_full_size_is_the_paper(base: str) -> None:
    image = read_configs(IMAGE, (base, "full_size.json"))
    assert image["network_def"]["build"] | {"_target_": "", "_mode_": ""} == {
        "_target_": "", "_mode_": "", "width": 1.0, "features": 1024, "dropout": 0.0,
    }  # fmt: skip
    assert (image["size"], image["epochs"], image["learning_rate"], image["momentum"]) == (299, 150, 0.01, 0.9)
    assert image["freeze_before"] == "mixed6"
    for name, aggregation, epochs in (("full_size", "max", 100), ("full_size_gru", "gru", 300)):
        patient = read_configs(PATIENT, (base, f"{name}.json"))
        build = patient["network_def"]["build"]
        assert (build["features"], build["hidden"], build["aggregation"]) == (1024, 1024, aggregation)
        assert (patient["epochs"], patient["learning_rate"], patient["momentum"]) == (epochs, 0.01, 0.9)


def test_the_gru_model_is_an_override() -> None:
    network = read_configs(PATIENT, ("inference.json", "gru.json")).get_parsed_content("network_def")
    assert all(part.aggregate.recurrent.num_layers == 2 for part in network.networks)
