"""The V-Net bundle: what the contract of every bundle (test_contract.py) does not say."""

from __future__ import annotations

import json

import pytest
import torch

from nephro_monai.constants import SEGMENTATION_WINDOW_HU
from nephro_monai.engine import load_cascade
from nephro_monai.engine.bundles import find_bundle, read_configs
from nephro_monai.engine.train import TrainOptions, train_bundle
from nephro_monai.networks.two_step_head import TwoStepNetwork
from nephro_monai.stages import SegmentSettings

BUNDLE = "kidney_tumor_ct_segmentation_vnet"
CONFIGS = find_bundle(BUNDLE) / "configs"


def config(name: str) -> dict:
    return json.loads((CONFIGS / f"{name}.json").read_text())


def test_training_and_inference_agree_with_the_cascades_defaults():
    train, infer, defaults = config("train"), config("inference"), SegmentSettings()
    for one in (train, infer):
        assert tuple(one["window_hu"]) == SEGMENTATION_WINDOW_HU == defaults.window_hu
        assert tuple(one["spacing_mm"]) == defaults.spacing_mm
        assert tuple(one["patch_size"]) == defaults.roi_size


def test_patches_are_windowed_and_of_the_stated_size(phantom_cohort, tmp_path):
    overrides = {
        "dataset_dir": str(phantom_cohort), "validation_fraction": 0.3, "progress": False, "output_dir": str(tmp_path),
    }  # fmt: skip
    parser = read_configs(BUNDLE, ("train.json",), overrides)
    patch = parser.get_parsed_content("train#dataset")[0][0]
    assert patch["image"].shape == patch["label"].shape == (1, *config("train")["patch_context"])
    assert patch["image"].dtype == torch.int16 and not hasattr(patch["image"], "affine")
    image, label = parser.get_parsed_content("train#augmentation")(patch["image"][None], patch["label"][None])
    assert image.shape == label.shape == (1, 1, *config("train")["patch_size"])
    assert -1 <= image.min() < image.max() <= 1
    assert set(label.unique().tolist()) <= {0, 1, 2}


def test_patches_follow_the_ratios(phantom_cohort):
    overrides = {"dataset_dir": str(phantom_cohort), "validation_fraction": 0.0, "progress": False}
    parser = read_configs(BUNDLE, ("train.json",), overrides)
    dataset = parser.get_parsed_content("train#dataset")
    with_tumor = next(i for i, crop in enumerate(dataset.data) if (crop["label"] == 2).any())
    draws = [dataset[with_tumor + k * len(dataset)][0]["label"] for k in range(20)]
    assert sum(bool((label == 2).any()) for label in draws) >= 7, "two fifths are centered on tumor"
    assert sum(bool((label > 0).any()) for label in draws) >= 14


def test_the_two_step_head_trains_and_takes_its_place_in_the_cascade(phantom_cohort, tmp_path):
    narrow = {"network_def#network#width": 2}
    overrides = {
        "epochs": 1, "patches_per_epoch": 2, "batch_size": 2, "workers": 0, "progress": False, "validation_interval": 1,
        "validation_fraction": 0.3, **narrow,
    }  # fmt: skip
    options = TrainOptions(
        data=phantom_cohort, out=tmp_path, device="cpu", configs=("two_step.json",), overrides=overrides
    )
    weights = train_bundle(find_bundle(BUNDLE), options)
    segmenter = {
        "_target_": "nephro_monai.engine.load_bundle_network", "bundle": BUNDLE, "device": "cpu",
        "configs": ["inference.json", "two_step.json"], "weights": str(weights), "overrides": narrow,
    }  # fmt: skip
    journey = load_cascade(device="cpu", overrides={"segmenter": segmenter})
    network = journey.transforms[2].network
    assert isinstance(network, TwoStepNetwork) and not network.training
    assert network(torch.zeros(1, 1, 48, 48, 32)).shape == (1, 3, 48, 48, 32)


def test_full_size_is_the_paper():
    for base in ("train.json", "inference.json"):
        parser = read_configs(BUNDLE, (base, "full_size.json"))
        network = parser["network_def"]
        assert network["width"] == 16
    loss = parser.get_parsed_content("loss")
    label = torch.zeros(1, 1, 8, 8, 8)
    label[:, :, :4], label[:, :, 6:] = 1, 2
    logits = torch.full((1, 3, 8, 8, 8), -50.0)
    logits[:, 0] = 0
    logits[:, 1, 2:4], logits[:, 2, 4:] = 50, 50
    # Kamkova's equation 6, 1 - 2|A.B| / (A + B), for kidney and for tumor.
    assert loss(logits, label).item() == pytest.approx(1 - (2 * 2 / (4 + 2) + 2 * 2 / (2 + 4)) / 2, abs=1e-4)
