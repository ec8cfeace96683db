"""The SCNet bundle: training, inference, baselines, two phases, and its place in the cascade."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigWorkflow

from nephro_monai.constants import SEGMENTATION_WINDOW_HU, SLICE_CLASS_NAMES
from nephro_monai.engine import load_cascade
from nephro_monai.engine.bundles import find_bundle, instantiate, read_configs
from nephro_monai.engine.train import TrainOptions, train_bundle
from nephro_monai.errors import ScanError
from nephro_monai.networks.scnet import SCNet
from nephro_monai.phantom import CohortConfig, PhantomConfig, generate_cohort
from nephro_monai.phantom.config import SMALL_SHAPE
from nephro_monai.stages import SliceStackSettings

BUNDLE = "kidney_tumor_ct_segmentation_scnet"
CASCADE_CONFIGS = find_bundle("nephro_cascade") / "configs"
ROOT = find_bundle(BUNDLE)
CONFIGS = ROOT / "configs"
TINY = {"name": "resnet10t", "channels": [4, 8, 8, 8], "stem_width": 4}
BASELINES = ["unet.json", "unet_two_step.json", "pspnet.json", "resnet50.json", "ternary_only.json"]


def config(name: str) -> dict:
    return json.loads((CONFIGS / f"{name}.json").read_text())


def workflow(kind: str, names: list[str], **overrides: object) -> ConfigWorkflow:
    return ConfigWorkflow(
        config_file=[str(CONFIGS / f"{name}.json") for name in names],
        meta_file=str(CONFIGS / "metadata.json"),
        logging_file=False,
        workflow_type=kind,
        bundle_root=str(ROOT),
        **overrides,
    )


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    """A malignant and a benign case in two registered phases."""
    folder = tmp_path_factory.mktemp("pairs") / "data"
    case = PhantomConfig(shape=SMALL_SHAPE, phase="arterial", second_phase="excretory", special="ordinary")
    generate_cohort(folder, CohortConfig(cases=2, seed=6, case=case, kinds=("malignant", "benign")))
    return folder


def train(data: Path, out: Path, *configs: str, **overrides: object) -> Path:
    few = {
        "bundle_root": str(ROOT), "epochs": 1, "slices_per_epoch": 4, "batch_size": 2, "progress": False,
        "validation_fraction": 0.0, "validation_interval": 5, "workers": 0,
    }  # fmt: skip
    options = TrainOptions(data=data, out=out, device="cpu", configs=configs, overrides={**few, **overrides})
    return train_bundle(ROOT, options)


def test_training_and_inference_agree_with_the_stages_defaults():
    training, inference, defaults = config("train"), config("inference"), SliceStackSettings()
    for one in (training, inference):
        assert tuple(one["window_hu"]) == SEGMENTATION_WINDOW_HU == defaults.window_hu
        assert (one["pixel_mm"], one["slice_mm"], one["slice_size"]) == tuple(vars(defaults.grid).values())
    assert training["label_weights"] == inference["label_weights"]
    stage = json.loads((CASCADE_CONFIGS / "scnet.json").read_text())["inferer#transforms"][2]
    assert stage["settings"]["loss_weights"] == inference["label_weights"]


def test_slices_are_of_the_stated_size_and_sixteen_times_as_many(phantom_cohort, tmp_path):
    made = workflow(
        "train", ["train"], dataset_dir=str(phantom_cohort), output_dir=str(tmp_path), validation_fraction=0.3,
        progress=False, device="$torch.device('cpu')",
    )  # fmt: skip
    made.initialize()
    item = made.train_dataset[0]
    assert item["image"].shape == item["label"].shape == (1, 150, 150)
    assert item["image"].dtype == torch.float32 and not hasattr(item["image"], "affine")
    assert -1 <= item["image"].min() < item["image"].max() <= 1
    assert item["slice_class"] in range(len(SLICE_CLASS_NAMES))
    slices = made.parser.get_parsed_content("train#slices")
    assert len(made.train_dataset) == pytest.approx(16 * len(slices), rel=0.02), "16-fold overall"
    batch = next(iter(made.parser.get_parsed_content("validate#dataloader")))
    assert batch["image"].shape[1:] == (1, 150, 150) and batch["slice_class"].dtype == torch.int64


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_are_values_of_the_same_training(phantom_cohort, tmp_path, name):
    assert train(phantom_cohort, tmp_path, name).is_file()


def test_the_support_vector_machine_trains_from_the_same_bundle(tmp_path):
    case = PhantomConfig(shape=SMALL_SHAPE, special="ordinary")
    generate_cohort(tmp_path / "data", CohortConfig(cases=4, seed=8, case=case, kinds=("malignant", "benign")))
    options = TrainOptions(
        data=tmp_path / "data", out=tmp_path / "run", configs=("svm.json",),
        overrides={"bundle_root": str(ROOT), "progress": False},
    )  # fmt: skip
    assert train_bundle(ROOT, options).is_file()
    report = json.loads((tmp_path / "run" / "svm.json").read_text())
    assert report["patients"] == {"benign": 2, "malignant": 2}


def test_two_phases_from_training_to_the_vote(pairs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = {"network_def#encoder": TINY, "network_def#class_features": [8], "slice_size": 96, "pixel_mm": 2.0}
    weights = train(pairs, tmp_path / "run", "two_phase.json", **small)
    case = pairs / "case_00000"
    run = workflow(
        "infer", ["inference", "two_phase_inference"], dataset_dir=str(case), output_dir=str(tmp_path / "out"),
        device_name="cpu", weights=str(weights), **small,
    )  # fmt: skip
    run.initialize()
    run.run()
    assert len(list((tmp_path / "out").rglob("*_segmentation.nii.gz"))) == 1
    segmenter = {
        "_target_": "nephro_monai.engine.load_bundle_network", "bundle": str(ROOT), "device": "@device",
        "configs": ["inference.json", "two_phase_inference.json"], "weights": str(weights), "overrides": small,
    }  # fmt: skip
    path = str(CASCADE_CONFIGS / "scnet_two_phase.json")
    journey = load_cascade(device="cpu", configs=[path], overrides={"segmenter": segmenter})
    done = journey({"image": str(case / "imaging.nii.gz"), "case": "a"})
    assert done["second_image"].shape == done["segmentation"].shape == done["image"].shape
    assert done["diagnosis"].verdict in ("malignant", "benign", "undetermined")
    grid = journey.transforms[3].settings.grid
    assert (grid.size, grid.pixel_mm) == (96, 2.0), "the network's own"
    (case / "imaging_excretory.nii.gz").rename(case / "away.nii.gz")
    with pytest.raises(RuntimeError) as error:
        journey({"image": str(case / "imaging.nii.gz"), "case": "a"})
    assert isinstance(error.value.__cause__, ScanError)
    repeated = load_cascade(
        device="cpu", configs=[path], overrides={"segmenter": segmenter, "inferer#transforms#1#missing": "repeat"}
    )
    assert repeated({"image": str(case / "imaging.nii.gz"), "case": "a"})["second_image"] is not None
    (case / "away.nii.gz").rename(case / "imaging_excretory.nii.gz")


@pytest.mark.skipif(not (ROOT / "models" / "model.pt").is_file(), reason="no weights of SCNet ship yet")
def test_the_shipped_system_runs_from_scan_to_vote(phantom_cohort):
    journey = load_cascade(device="cpu", configs=["scnet.json"])
    done = journey({"image": str(phantom_cohort / "case_00000" / "imaging.nii.gz"), "case": "case_00000"})
    assert done["segmentation"].shape == done["image"].shape and done["segmentation"].dtype == torch.uint8
    assert len(done["slice_votes"]) == len(done["slice_probabilities"]) == len(done["tumor_slices"])
    assert {vote.tumor for vote in done["slice_votes"]} <= {tumor.index for tumor in done["tumors"]}
    assert done["diagnosis"].verdict in ("malignant", "benign", "undetermined")


def test_full_size_is_the_paper():
    for base in ("train.json", "inference.json"):
        network = read_configs(ROOT, (base, "full_size.json"))["network_def"]
        assert network["encoder"]["name"] == "resnet50" and network["in_channels"] == 1
        assert "features" not in network and "ratios" not in network, "the defaults of SCNet are the paper's"
    training = read_configs(ROOT, ("train.json", "full_size.json"))
    assert (training["epochs"], training["learning_rate"], training["augmentation_fold"]) == (6, 1e-3, 16.0)
    assert [training["loss"][name] for name in ("binary", "ternary", "classification")] == [1.0, 1.0, 1.0]


def test_the_shipped_network_has_the_stated_size():
    network = instantiate(read_configs(ROOT, ("inference.json",), {"bundle_root": str(ROOT)}), "network_def")
    assert isinstance(network, SCNet)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 1) == 1.5
