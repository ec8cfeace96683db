"""The two ENet bundles: what the contract of every bundle (test_contract.py) does not say."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from nephro_monai.engine.bundles import find_bundle, instantiate, read_configs
from nephro_monai.engine.cascade import cascade_parser
from nephro_monai.engine.train import TrainOptions, train_bundle
from nephro_monai.engine.weights import load_bundle_network
from nephro_monai.errors import BundleError, WeightsError
from nephro_monai.networks.two_step_head import TwoStepNetwork
from nephro_monai.stages import TwoStageSettings
from nephro_monai.structures import SliceGrid

FIRST, SECOND = "kidney_ct_segmentation_enet", "kidney_tumor_ct_segmentation_enet"
CONFIGS = {name: find_bundle(name) / "configs" for name in (FIRST, SECOND)}


def config(bundle: str, name: str) -> dict:
    return json.loads((CONFIGS[bundle] / f"{name}.json").read_text())


@pytest.mark.parametrize("bundle", [FIRST, SECOND])
def test_training_inference_and_the_cascade_agree(bundle):
    train, infer, defaults = config(bundle, "train"), config(bundle, "inference"), TwoStageSettings()
    for one in (train, infer):
        assert one["slice_size"] == defaults.grid.input_size
        assert one["pixel_spacing_mm"] == defaults.grid.pixel_spacing_mm
        assert one["slice_spacing_mm"] == defaults.grid.slice_spacing_mm == defaults.grid.slice_thickness_mm
        assert one.get("crop_size", defaults.crop_size) == defaults.crop_size
    assert train["window_hu"] == infer["window_hu"]
    spatial = config(bundle, "metadata")["network_data_format"]["inputs"]["image"]["spatial_shape"]
    assert spatial == [train["crop_size" if bundle == SECOND else "slice_size"]] * 2


@pytest.fixture
def untrained(tmp_path):
    """Weights of a bundle's network as its configurations and overrides make it."""

    def save(bundle: str, configs: tuple[str, ...] = (), **overrides: object) -> str:
        path = tmp_path / f"{bundle}.pt"
        network = read_configs(bundle, ("inference.json", *configs), overrides).get_parsed_content("network_def")
        torch.save(network.state_dict(), path)
        return str(path)

    return save


def two_stages(configs: tuple[str, ...], **overrides: object) -> TwoStageSettings:
    parser = cascade_parser(configs=("enet_two_stage.json", *configs), overrides={"device_name": "cpu", **overrides})
    assert parser["localizer#bundle"] == FIRST and parser["segmenter#bundle"] == SECOND
    return instantiate(parser, "inferer#transforms#1").settings


@pytest.mark.parametrize(
    ("own", "cascade"), [((), ()), (("full_size.json",), ("enet_two_stage_full_size.json",))], ids=["small", "full"]
)
def test_the_cascade_runs_the_two_stages_as_trained(own, cascade, untrained):
    weights = {"localizer#weights": untrained(FIRST, own), "segmenter#weights": untrained(SECOND, own)}
    settings = two_stages(cascade, **weights)
    assert settings.grid == settings.first_grid
    for bundle in (FIRST, SECOND):
        trained = read_configs(bundle, ("train.json", *own))
        assert settings.grid == trained.get_parsed_content("grid")
    assert settings.crop_size == trained["crop_size"]
    if not own:
        assert replace(settings, first_grid=None) == TwoStageSettings(), "the stage's defaults"


def test_the_cascade_follows_another_grid(untrained):
    """What both trainings were given with --set is given to both networks; the slices follow."""
    grid = {"slice_size": 96, "pixel_spacing_mm": 4.0}
    second = {**grid, "crop_size": 64}
    weights = {
        "localizer#weights": untrained(FIRST, **grid), "localizer#overrides": grid,
        "segmenter#weights": untrained(SECOND, **second), "segmenter#overrides": second,
    }  # fmt: skip
    settings = two_stages((), **weights)
    assert settings.grid == SliceGrid(4.0, 4.0, 96, 4.0) and settings.crop_size == 64
    with pytest.raises(WeightsError, match="does not fit the network"):
        two_stages((), **{**weights, "localizer#overrides": {}})
    with pytest.raises(BundleError, match=r"first stage was trained on .*4\.0.*the second on .*pixel_spacing_mm=1\.6"):
        two_stages((), **{**weights, "segmenter#overrides": {**second, "pixel_spacing_mm": 1.6}})


def test_the_second_bundle_refuses_a_first_stage_of_another_grid(untrained):
    values = {"first_stage#weights": untrained(FIRST), "device_name": "cpu"}
    assert instantiate(read_configs(SECOND, overrides=values), "inferer").settings.crop_size == 128
    with pytest.raises(BundleError, match=r"first stage was trained on .*1\.6.*the second on .*0\.8"):
        instantiate(read_configs(SECOND, ("inference.json", "full_size.json"), values), "inferer")


@pytest.mark.parametrize(("bundle", "size", "labels"), [(FIRST, 256, {0, 1}), (SECOND, 128, {0, 1, 2})])
def test_slices_and_their_statistics_are_of_the_stated_size(bundle, size, labels, phantom_cohort):
    overrides = {"dataset_dir": str(phantom_cohort), "validation_fraction": 0.3, "progress": False}
    parser = read_configs(bundle, ("train.json",), overrides)
    dataset, seen = parser.get_parsed_content("train#dataset"), set()
    for index in range(0, len(dataset.data), 6):
        item = dataset[index]
        assert item["image"].shape == item["label"].shape == (1, size, size)
        assert item["image"].dtype == torch.float32 and not hasattr(item["image"], "affine")
        seen |= set(item["label"].unique().tolist())
    assert seen == labels
    statistics = parser.get_parsed_content("statistics")
    assert statistics.mean.shape == statistics.deviation.shape == (1, size, size)
    assert statistics.mean[0, size // 2, size // 2] > -150 and statistics.deviation.max() > 50


def test_the_second_stage_trains_with_the_two_step_head(phantom_cohort, tmp_path):
    overrides = {
        "epochs": 1, "slices_per_epoch": 2, "batch_size": 2, "workers": 0, "progress": False, "validation_interval": 1,
        "validation_fraction": 0.3,
    }  # fmt: skip
    options = TrainOptions(
        data=phantom_cohort, out=tmp_path, device="cpu", configs=("two_step.json",), overrides=overrides
    )
    weights = train_bundle(find_bundle(SECOND), options)
    network = load_bundle_network(SECOND, "cpu", configs=["inference.json", "two_step.json"], weights=str(weights))
    assert isinstance(network, TwoStepNetwork)
    assert network.network.standardize.mean.std() > 0, "the statistics of the training set travel with the weights"
    assert network(torch.zeros(1, 1, 128, 128)).shape == (1, 3, 128, 128)


@pytest.mark.parametrize("bundle", [FIRST, SECOND])
def test_loss_is_the_papers(bundle):
    configs = ("train.json", "full_size.json") if bundle == SECOND else ("train.json",)  # what ships adds cross-entropy
    loss = read_configs(bundle, configs).get_parsed_content("loss")
    torch.manual_seed(0)
    classes = 3 if bundle == SECOND else 2
    logits, truth = torch.randn(4, classes, 8, 8), torch.randint(0, classes, (4, 1, 8, 8))
    indices = []
    for value in range(1, classes):
        p0, g0 = torch.softmax(logits, dim=1)[:, value], (truth[:, 0] == value).float()
        hit = (p0 * g0).sum()
        indices.append(hit / (hit + 0.3 * (p0 * (1 - g0)).sum() + 0.7 * ((1 - p0) * g0).sum()))
    assert loss(logits, truth).item() == pytest.approx(1 - float(torch.stack(indices).mean()), abs=1e-5)


@pytest.mark.parametrize("bundle", [FIRST, SECOND])
def test_full_size_is_the_paper(bundle):
    for base in ("train.json", "inference.json"):
        parser = read_configs(bundle, (base, "full_size.json"))
        network = parser.get_parsed_content("network_def")
        size = 256 if bundle == SECOND else 512
        assert network.get_buffer("standardize.mean").shape == (1, size, size)
        assert sum(p.numel() for p in network.parameters()) == pytest.approx(0.37e6, rel=0.03)
    train = config(bundle, "train")
    assert train["learning_rate"] == 1e-3 and train["batch_size"] == 8 and train["weight_decay"] == 0
