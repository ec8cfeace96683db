"""The slice classifier: head, encoders, pretrained weights by key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from timm.layers import SelectAdaptivePool2d
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
        SelectAdaptivePool2d, nn.Flatten, nn.Dropout, nn.BatchNorm1d,
        nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear,
    ]  # fmt: skip
    assert [layer.p for layer in tiny.head if isinstance(layer, nn.Dropout)] == [0.2, 0.2]
    assert [layer.out_features for layer in tiny.dense_layers()] == [8, 8]
    maps = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(tiny.head[0](maps).flatten(1), maps.mean((2, 3)))


def test_average_and_maximum_can_stand_side_by_side() -> None:
    encoder = {"name": "densenet", "init_features": 8, "growth_rate": 4, "block_config": [1, 1]}
    network = SliceClassifier(encoder, head_features=8, pooling="catavgmax").eval()
    maps = torch.randn(2, 3, 4, 4)
    expected = torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1)
    torch.testing.assert_close(network.head[0](maps).flatten(1), expected)
    assert network(torch.rand(2, 3, 64, 64)).shape == (2, 2)


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


@pytest.mark.parametrize(
    ("name", "channels", "parameters"),
    [
        ("vgg16", 512, 14_714_688),
        ("xception", 2048, 20_806_952),
        ("resnetv2", 2048, 23_500_352),
        ("densenet121", 1024, 6_953_856),
        ("chexnet", 1024, 6_953_856),
    ],
)
def test_the_papers_encoders_by_name(name: str, channels: int, parameters: int) -> None:
    with torch.device("meta"):
        network = SliceClassifier({"name": name})
        assert network(torch.rand(2, 3, 256, 256)).shape == (2, 2)
    assert sum(p.numel() for p in network.encoder.parameters()) == parameters
    assert network.head[4].weight.shape == (2048, channels)
    assert network.head[6].weight.shape == (2048, 2048) and network.head[9].weight.shape == (2, 2048)


@pytest.mark.parametrize(("name", "mean"), [("resnet10t", 0.485), ("mobilenetv2_035", 0.485)])
def test_encoders_see_what_they_were_pretrained_on(name: str, mean: float) -> None:
    network = SliceClassifier({"name": name}, head_features=8)
    assert network.mean[0].item() == pytest.approx(mean)


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


def test_a_chexnet_checkpoint_fills_chexnet(tmp_path: Path) -> None:
    """Keys as CheXNet's reimplementation wrote them: an old torchvision DenseNet-121 inside DataParallel."""
    source = torchvision.models.densenet121(num_classes=14)
    old = {
        "module.densenet121."
        + re.sub(r"\b(norm|conv)([12])\b", r"\1.\2", key).replace("classifier.", "classifier.0."): value
        for key, value in source.state_dict().items()
        if "num_batches_tracked" not in key
    }
    assert "module.densenet121.features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save({"state_dict": old, "best_loss": 0.1}, tmp_path / "chexnet.pth.tar")
    network = SliceClassifier({"name": "chexnet"}, head_features=8).eval()
    assert load_pretrained_encoder(network, tmp_path / "chexnet.pth.tar") == (len(old) - 2, 2)
    slices = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        expected = torch.relu(source.eval().features((slices - network.mean) / network.std))
        found = network.encoder((slices - network.mean) / network.std)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_timm_weights_load_from_safetensors(tmp_path: Path) -> None:
    source = timm.create_model("resnet10t", num_classes=5)
    save_file(source.state_dict(), tmp_path / "resnet.safetensors")
    network = SliceClassifier({"name": "resnet10t"}, head_features=8)
    loaded, skipped = load_pretrained_encoder(network, tmp_path / "resnet.safetensors")
    assert (loaded, skipped) == (len(source.state_dict()) - 2, 2)
    assert torch.equal(network.encoder.network.conv1[0].weight, source.conv1[0].weight)


def test_downloads_happen_on_request_only(monkeypatch: pytest.MonkeyPatch) -> None:
    make = timm.create_model
    asked = []

    def offline(name: str, pretrained: bool, **arguments: object) -> nn.Module:
        asked.append(pretrained)
        if pretrained:
            raise OSError("no route to host")
        return make(name, pretrained=False, **arguments)

    monkeypatch.setattr(timm, "create_model", offline)
    network = SliceClassifier({"name": "resnet10t"}, head_features=8)
    assert asked == [False]
    with pytest.raises(
        WeightsError, match=r"resnet10t cannot be downloaded \(OSError: no route to host\).*give the file"
    ):
        load_pretrained_encoder(network, "timm")
    with pytest.raises(WeightsError, match="cannot be downloaded"):
        SliceClassifier({"name": "resnet10t", "pretrained": True})


def test_downloaded_weights_fill_the_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    make = timm.create_model
    network = SliceClassifier({"name": "resnet10t"}, head_features=8)
    torch.manual_seed(5)
    source = make("resnet10t", num_classes=0, global_pool="")
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: source)
    assert load_pretrained_encoder(network, "timm") == (len(source.state_dict()), 0)
    assert torch.equal(network.encoder.network.conv1[0].weight, source.conv1[0].weight)


def test_timm_has_no_weights_for_other_sizes_and_for_chexnet(tiny: SliceClassifier) -> None:
    with pytest.raises(WeightsError, match="another size"):
        load_pretrained_encoder(tiny, "timm")
    with torch.device("meta"):
        network = SliceClassifier({"name": "chexnet"}, head_features=8)
    with pytest.raises(WeightsError, match="CheXNet's weights cannot be downloaded"):
        load_pretrained_encoder(network, "timm")


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
