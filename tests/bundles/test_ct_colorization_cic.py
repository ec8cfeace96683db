"""The colorization bundle: what the contract of every bundle (test_contract.py) does not say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from nephro_monai.engine.bundles import find_bundle, read_configs
from nephro_monai.engine.train import TrainOptions, train_bundle
from nephro_monai.networks.colorization_lrac import HypercolumnColorizer

NAME = "ct_colorization_cic"
TINY = {"network_def#width": 2, "network_def#bins": 30}


@pytest.fixture(scope="module")
def configs() -> Path:
    return find_bundle(NAME) / "configs"


def test_pictures_are_seen_as_a_reader_expects(tumor_cases: Path, tmp_path: Path) -> None:
    network = read_configs(NAME, overrides=TINY).get_parsed_content("network_def")
    torch.save(network.state_dict(), tmp_path / "model.pt")
    overrides = {
        **TINY, "dataset_dir": str(tumor_cases), "output_dir": str(tmp_path), "device_name": "cpu",
        "weights": str(tmp_path / "model.pt"), "size": 128,
    }  # fmt: skip
    read_configs(NAME, overrides=overrides).get_parsed_content("run")
    picture = np.asarray(Image.open(tmp_path / "case_00000_tumor1_z002_color.png")).astype(float).mean(2)
    assert picture.shape == (128, 128)
    # Kidney (bright) lies in front of the tumor and to the patient's right of its center: up and left in the picture.
    assert picture[10:40, 40:60].mean() > picture[100:120, 60:80].mean() + 50


def test_training_sees_tissue_at_the_scale_of_inference(configs: Path) -> None:
    train, inference = (json.loads((configs / f"{name}.json").read_text()) for name in ("train", "inference"))
    crop = inference["slices"]["settings"]["size"]
    assert train["network_size"] / train["crop_size"] == pytest.approx(inference["size"] / crop, rel=0.01)


@pytest.mark.parametrize("base", ["train.json", "inference.json"])
def test_full_size_is_the_paper(base: str) -> None:
    network_def = read_configs(NAME, (base, "full_size.json")).get("network_def")
    assert (network_def["width"], network_def["bins"]) == (64, 313)


@pytest.mark.parametrize("name", ["ltbc", "lrac"])
def test_the_other_colorizers_train_and_color_by_one_file(name: str, tumor_cases: Path, tmp_path: Path) -> None:
    small = {"network_def#width": 2}
    quick = {
        **small, "epochs": 1, "slices_per_epoch": 8, "batch_size": 4, "validation_interval": 1, "progress": False,
        "crop_size": 32, "network_size": 64, "train#trainer#log_every_n_steps": 1,
    }  # fmt: skip
    options = TrainOptions(
        data=tumor_cases, out=tmp_path, device="cpu", precision="32", configs=(f"{name}.json",), overrides=quick
    )
    weights = train_bundle(NAME, options)
    header = next((tmp_path / "logs").glob("*/metrics.csv")).read_text().splitlines()[0]
    assert {"val_color_accuracy", "val_ab_error_kidney"} <= set(header.split(","))
    overrides = {
        **small, "dataset_dir": str(tumor_cases), "output_dir": str(tmp_path / "out"), "device_name": "cpu",
        "weights": str(weights), "size": 64,
    }  # fmt: skip
    read_configs(NAME, ("inference.json", f"{name}.json"), overrides).get_parsed_content("run")
    assert len(list((tmp_path / "out").glob("*.png"))) == 6 * 4


@pytest.mark.parametrize("name", ["ltbc", "lrac"])
def test_the_other_colorizers_see_tissue_at_the_scale_of_inference(configs: Path, name: str) -> None:
    overlay = json.loads((configs / f"{name}.json").read_text())
    inference = json.loads((configs / "inference.json").read_text())
    scale = inference["size"] / inference["slices"]["settings"]["size"]
    assert overlay["network_size"] / overlay["crop_size"] == pytest.approx(scale, rel=0.01)
    classes = len(read_configs(NAME, ("train.json",)).get_parsed_content("color_table").names)
    assert overlay["network_def"].get("classes", classes) == classes


def test_other_colorizers_start_from_converted_weights(tmp_path: Path) -> None:
    source = HypercolumnColorizer(width=2, batch_norm=False)
    save_file(source.state_dict(), tmp_path / "autocolorize.safetensors")
    overrides = {
        "network_def#width": 2, "network_def#batch_norm": False,
        "released_checkpoint": str(tmp_path / "autocolorize.safetensors"),
    }  # fmt: skip
    parser = read_configs(NAME, ("train.json", "lrac.json"), overrides)
    assert parser.get_parsed_content("start_weights") == (len(source.state_dict()), 0)
    assert torch.equal(parser.get_parsed_content("network_def").fc7.weight, source.fc7.weight)
