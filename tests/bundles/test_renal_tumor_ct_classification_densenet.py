"""The classification bundle: what the contract of every bundle (test_contract.py) does not say."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

from nephro_monai.engine.bundles import find_bundle, read_configs
from nephro_monai.engine.train import TrainOptions, train_bundle
from nephro_monai.networks.colorization_cic import ColorfulColorizer

NAME = "renal_tumor_ct_classification_densenet"
TINY = {
    "network_def#encoder": {"name": "densenet", "init_features": 4, "growth_rate": 2, "block_config": [1, 1]},
    "network_def#head_features": 8,
}


@pytest.fixture(scope="module")
def configs() -> Path:
    return find_bundle(NAME) / "configs"


@pytest.fixture(scope="module")
def colorizer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Settings that take a tiny colorizer instead of the shipped one."""
    folder = tmp_path_factory.mktemp("colorizer")
    torch.save(ColorfulColorizer(width=2, bins=20).state_dict(), folder / "model.pt")
    (folder / "tiny.json").write_text(json.dumps({"network_def#width": 2, "network_def#bins": 20}))
    return {
        "colorizer_weights": str(folder / "model.pt"),
        "colorizer_configs": ["inference.json", str(folder / "tiny.json")],
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tumor_cases: Path, colorizer: dict[str, object]) -> Path:
    quick = {
        "epochs": 1, "slices_per_epoch": 8, "batch_size": 4, "validation_interval": 1, "progress": False,
        "validation_fraction": 0.5, "train#trainer#log_every_n_steps": 1,
    }  # fmt: skip
    out = tmp_path_factory.mktemp("run")
    overrides = {**TINY, **quick, **colorizer}
    return train_bundle(
        NAME, TrainOptions(data=tumor_cases, out=out, device="cpu", precision="32", overrides=overrides)
    )


def test_inference_writes_probabilities_of_every_slice(
    trained: Path, tumor_cases: Path, tmp_path: Path, colorizer: dict[str, object]
) -> None:
    overrides = {
        **TINY, **colorizer, "dataset_dir": str(tumor_cases), "output_dir": str(tmp_path), "device_name": "cpu",
        "weights": str(trained),
    }  # fmt: skip
    read_configs(NAME, overrides=overrides).get_parsed_content("run")
    with (tmp_path / "predictions.csv").open() as file:
        rows = list(csv.reader(file))
    assert len(rows) == 6 * 4
    assert rows[0][0] == "case_00000_tumor1_z002"
    assert all(float(benign) + float(malignant) == pytest.approx(1.0, abs=1e-4) for _, benign, malignant in rows)


def test_training_and_inference_agree(configs: Path) -> None:
    train, inference = (json.loads((configs / f"{name}.json").read_text()) for name in ("train", "inference"))
    for key in ("colorizer", "colorizer_weights"):
        assert train[key] == inference[key]
    assert train["augmentation"]["size"] == inference["slices"]["settings"]["size"]


@pytest.mark.parametrize("base", ["train.json", "inference.json"])
def test_full_size_is_the_paper(base: str) -> None:
    network_def = read_configs(NAME, (base, "full_size.json")).get("network_def")
    assert network_def["encoder"] == {"name": "densenet121"}
    assert (network_def["head_features"], network_def["dropout"]) == (2048, 0.2)


def test_the_papers_way_trains_gray_single_slices_in_folds(tumor_cases: Path, tmp_path: Path) -> None:
    quick = {
        "epochs": 1, "slices_per_epoch": 4, "batch_size": 2, "validation_interval": 1, "progress": False,
        "train#trainer#log_every_n_steps": 1, "training_slices": "largest", "fold": 1, "folds": 3,
    }  # fmt: skip
    options = TrainOptions(
        data=tumor_cases, out=tmp_path, device="cpu", precision="32",
        configs=("gray.json", "paper.json", "folds.json"), overrides={**TINY, **quick},
    )  # fmt: skip
    assert train_bundle(NAME, options).is_file()
    header = next((tmp_path / "logs").glob("*/metrics.csv")).read_text().splitlines()[0]
    assert "val_largest_accuracy" in header.split(",")


def test_the_papers_settings_are_what_the_paper_says(configs: Path) -> None:
    parser = read_configs(NAME, ("train.json", "full_size.json", "paper.json"))
    loss, optimizer = parser.get_parsed_content("loss"), parser.get_parsed_content("optimizer")
    assert loss.weight.tolist() == pytest.approx([1.0, 0.1]) and loss.label_smoothing == 0.0
    assert optimizer.dense_l2 > 0 and optimizer.dense_decay == optimizer.other_decay == 0.0
    assert parser.get_parsed_content("subtypes") is None
