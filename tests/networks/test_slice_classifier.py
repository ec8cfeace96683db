"""The slice classifier: head, encoders, pretrained weights by key."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from nephro_monai.errors import WeightsError
from nephro_monai.networks.slice_classifier import SliceClassifier, load_pretrained_encoder

TINY = {"name": "densenet", "init_features": 4, "growth_rate": 2, "block_config": [1, 1]}


@pytest.fixture
def tiny() -> SliceClassifier:
    torch.manual_seed(0)
    return SliceClassifier(TINY, head_features=8)


def test_logits_of_both_classes(tiny: SliceClassifier) -> None:
    assert tiny.eval()(torch.rand(3, 3, 64, 64)).shape == (3, 2)


def test_the_head_is_the_papers(tiny: SliceClassifier) -> None:
    kinds = [type(layer) for layer in tiny.head]
    assert kinds == [
        nn.AdaptiveAvgPool2d, nn.Flatten, nn.Dropout, nn.BatchNorm1d,
        nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear,
    ]  # fmt: skip
    assert [layer.p for layer in tiny.head if isinstance(layer, nn.Dropout)] == [0.2, 0.2]
    assert [layer.out_features for layer in tiny.dense_layers()] == [8, 8]


def test_densenet121_has_the_papers_size() -> None:
    with torch.device("meta"):
        network = SliceClassifier({"name": "densenet121"})
    parameters = sum(p.numel() for p in network.encoder.parameters())
    assert parameters == 6_953_856  # torchvision's densenet121 without its classifier
    assert network.head[4].weight.shape == (2048, 1024)


def test_slices_are_normalized_like_imagenet(tiny: SliceClassifier) -> None:
    seen = []
    tiny.eval().encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    tiny(mean.expand(1, 3, 32, 32))
    assert seen[0].abs().max() < 1e-6


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050"])
def test_timm_encoders_by_name(name: str) -> None:
    network = SliceClassifier({"name": name, "pretrained": False}, head_features=8).eval()
    assert network(torch.rand(2, 3, 64, 64)).shape == (2, 2)


def test_timm_vgg_leaves_its_dense_layers_out() -> None:
    with torch.device("meta"):
        network = SliceClassifier({"name": "vgg11"}, head_features=8)
    assert network.head[4].in_features == 512
    assert sum(p.numel() for p in network.encoder.parameters()) < 10_000_000  # 133 million with them


@pytest.mark.parametrize("encoder", [{"name": "densnet"}, {}, {"name": None}])
def test_unknown_encoders_are_refused(encoder: dict) -> None:
    with pytest.raises(ValueError, match="encoder needs"):
        SliceClassifier(encoder)


def _like_torchvision(network: SliceClassifier) -> dict[str, torch.Tensor]:
    """The encoder's own state with the keys of torchvision's file, and a classifier on top."""
    state = {}
    for key, tensor in network.encoder.state_dict().items():
        state["features." + key.removeprefix("0.").replace(".layers.", ".")] = torch.rand_like(tensor.float())
    return {**state, "classifier.weight": torch.zeros(1000, 4)}


def test_torchvision_keys_load(tiny: SliceClassifier, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    state = _like_torchvision(tiny)
    torch.save(state, tmp_path / "densenet.pth")
    assert load_pretrained_encoder(tiny, tmp_path / "densenet.pth") == (len(state) - 1, 1)
    assert torch.equal(tiny.encoder[0].conv0.weight, state["features.conv0.weight"])
    assert "1 skipped" in capsys.readouterr().out


def test_chexnet_keys_load(tiny: SliceClassifier, tmp_path: Path) -> None:
    state = {
        "module.densenet121." + key.replace("norm1.", "norm.1.").replace("conv1.", "conv.1."): value
        for key, value in _like_torchvision(tiny).items()
        if "num_batches_tracked" not in key
    }
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "chexnet.pth.tar")
    loaded, skipped = load_pretrained_encoder(tiny, tmp_path / "chexnet.pth.tar")
    assert (loaded, skipped) == (len(state) - 1, 1)


def test_almost_nothing_loaded_is_an_error(tiny: SliceClassifier, tmp_path: Path) -> None:
    state = _like_torchvision(tiny)
    torch.save({key: state[key] for key in list(state)[:2]}, tmp_path / "other.pth")
    before = tiny.encoder[0].conv0.weight.clone()
    with pytest.raises(WeightsError, match="fits only 2 of"):
        load_pretrained_encoder(tiny, tmp_path / "other.pth")
    assert torch.equal(tiny.encoder[0].conv0.weight, before)


def test_a_missing_file_is_an_error(tiny: SliceClassifier, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        load_pretrained_encoder(tiny, tmp_path / "none.pth")


@pytest.mark.filterwarnings("ignore")
def test_can_be_scripted(tiny: SliceClassifier) -> None:
    slices = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(torch.jit.script(tiny.eval())(slices), tiny(slices))
