"""Inception-v3 at any width: torchvision's and timm's network, the paper's freezing points."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from torch import nn
from torchvision.models import Inception_V3_Weights
from torchvision.models.inception import Inception3

from nephro_monai.errors import WeightsError
from nephro_monai.networks.fold_vote import FoldVote
from nephro_monai.networks.inception import (
    FREEZING_POINTS,
    InceptionClassifier,
    load_inception_weights,
    start_transfer,
)

NARROW = 1 / 16


@pytest.fixture
def narrow() -> InceptionClassifier:
    torch.manual_seed(0)
    return InceptionClassifier(NARROW, features=12)


@pytest.fixture(scope="module")
def released() -> Inception3:
    """torchvision's network with random weights that give features of ordinary size."""
    torch.manual_seed(0)
    return Inception3(aux_logits=True, init_weights=False).eval()


def test_logits_and_features(narrow: InceptionClassifier) -> None:
    slices = torch.rand(3, 3, 80, 97)
    assert narrow.eval()(slices).shape == (3, 2)
    features = narrow.features(slices)
    assert features.shape == (3, 12)
    assert (features >= 0).all()
    torch.testing.assert_close(narrow.head(features), narrow(slices))


def test_full_width_is_torchvisions_network(released: Inception3, tmp_path: Path) -> None:
    torch.save(released.state_dict(), tmp_path / "inception_v3.pth")
    network = InceptionClassifier().eval()
    load_inception_weights(network, tmp_path / "inception_v3.pth")
    assert sum(p.numel() for p in network.encoder.parameters()) == 21_785_568  # torchvision's without its classifiers
    slices = torch.rand(1, 3, 75, 75)
    pooled = []
    released.dropout.register_forward_pre_hook(lambda module, inputs: pooled.append(inputs[0].flatten(1)))
    with torch.inference_mode():
        released(slices * 2 - 1)  # -1..1, as it was trained
        ours = network.projection[:2](network.encoder(slices * 2 - 1))
        expected = network.head(network.projection[2:](pooled[0]))
        torch.testing.assert_close(ours, pooled[0])
        torch.testing.assert_close(network(slices), expected)
    assert ours.shape == (1, 2048)
    assert network.projection[2].weight.shape == (1024, 2048)


def test_names_are_those_of_timm() -> None:
    with torch.device("meta"):
        theirs = timm.create_model("inception_v3", pretrained=False, aux_logits=False).state_dict()
        ours = InceptionClassifier().encoder.state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items() if not k.startswith("fc.")}


@pytest.mark.parametrize("width", [1 / 16, 0.25, 0.5])
def test_every_channel_count_is_scaled(width: float) -> None:
    with torch.device("meta"):
        whole, part = InceptionClassifier().encoder.state_dict(), InceptionClassifier(width).encoder.state_dict()
    for key, tensor in part.items():
        if tensor.ndim > 0:
            assert tensor.shape[0] == whole[key].shape[0] * width
        if tensor.ndim > 1 and not key.startswith("Conv2d_1a"):
            assert tensor.shape[1] == whole[key].shape[1] * width


@pytest.mark.parametrize("width", [0.0, -0.25, 0.3])
def test_other_widths_are_refused(width: float) -> None:
    with pytest.raises(ValueError, match="multiple of 1/16"):
        InceptionClassifier(width)


def test_small_slices_are_refused(narrow: InceptionClassifier) -> None:
    assert narrow.eval()(torch.rand(1, 3, 75, 75)).shape == (1, 2)
    with pytest.raises(ValueError, match="at least 75 x 75"):
        narrow(torch.rand(1, 3, 74, 80))


def test_gradients_reach_every_parameter(narrow: InceptionClassifier) -> None:
    narrow(torch.rand(2, 3, 96, 96)).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in narrow.parameters())


@pytest.mark.parametrize(("block", "first"), [("mixed0", "Mixed_5b"), ("mixed6", "Mixed_6d"), ("mixed10", "Mixed_7c")])
def test_freezing(narrow: InceptionClassifier, block: str, first: str) -> None:
    narrow.freeze_before(block)
    trained = [
        name for name, layer in narrow.encoder.named_children() if any(p.requires_grad for p in layer.parameters())
    ]
    assert trained[0] == first
    assert len(trained) == list(FREEZING_POINTS).index("mixed10") - list(FREEZING_POINTS).index(block) + 1
    assert all(p.requires_grad for p in [*narrow.projection.parameters(), *narrow.head.parameters()])
    before = {key: value.clone() for key, value in narrow.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in narrow.parameters() if p.requires_grad], lr=0.1)
    narrow.train()(torch.rand(4, 3, 80, 80)).square().sum().backward()
    optimizer.step()
    changed = {key.split(".")[1] for key, value in narrow.state_dict().items()
               if key.startswith("encoder.") and not torch.equal(value, before[key])}  # fmt: skip
    assert changed == set(trained)  # batch statistics of frozen layers stay too
    narrow.freeze_before(None)
    assert all(p.requires_grad for p in narrow.parameters())


def test_unknown_freezing_points_are_refused(narrow: InceptionClassifier) -> None:
    with pytest.raises(ValueError, match=r"mixed0, mixed1.* got 'mixed11'"):
        narrow.freeze_before("mixed11")


def test_pretrained_weights_reach_every_fold(narrow: InceptionClassifier, tmp_path: Path) -> None:
    torch.save({"state_dict": narrow.encoder.state_dict()}, tmp_path / "encoder.pth")
    vote = FoldVote(lambda: InceptionClassifier(NARROW, features=4), folds=3)
    start_transfer(vote, tmp_path / "encoder.pth", "mixed3")
    for network in vote.networks:
        assert torch.equal(
            network.encoder.Mixed_7c.branch1x1.conv.weight, narrow.encoder.Mixed_7c.branch1x1.conv.weight
        )
        assert not network.encoder.Mixed_5d.branch1x1.conv.weight.requires_grad
        assert network.encoder.Mixed_6a.branch3x3.conv.weight.requires_grad
    start_transfer(vote, None, None)
    assert all(p.requires_grad for p in vote.parameters())


def test_frozen_random_layers_are_refused(narrow: InceptionClassifier) -> None:
    with pytest.raises(WeightsError, match="would freeze random layers"):
        start_transfer(nn.ModuleList([narrow]), None, "mixed6")


def test_weights_of_another_width_are_refused(narrow: InceptionClassifier, tmp_path: Path) -> None:
    torch.save(InceptionClassifier(2 / 16).encoder.state_dict(), tmp_path / "wide.pth")
    with pytest.raises(WeightsError, match="other shapes"):
        load_inception_weights(narrow, tmp_path / "wide.pth")
    with pytest.raises(WeightsError, match="does not exist"):
        load_inception_weights(narrow, tmp_path / "none.pth")


def test_imagenet_weights_are_downloaded_on_request_only(released: Inception3, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(self: Inception_V3_Weights, *args: object, **kwargs: object) -> dict[str, torch.Tensor]:
        asked.append(kwargs)
        return released.state_dict()

    monkeypatch.setattr(Inception_V3_Weights, "get_state_dict", download)
    network = InceptionClassifier()
    assert not asked
    load_inception_weights(network, "imagenet")
    assert asked[0]["check_hash"] is True
    assert torch.equal(network.encoder.Conv2d_1a_3x3.conv.weight, released.Conv2d_1a_3x3.conv.weight)


@pytest.mark.filterwarnings("ignore")
def test_can_be_scripted(narrow: InceptionClassifier) -> None:
    slices = torch.rand(1, 3, 80, 80)
    torch.testing.assert_close(torch.jit.script(narrow.eval())(slices), narrow(slices))


def test_bfloat16(narrow: InceptionClassifier) -> None:
    slices = torch.rand(2, 3, 80, 80)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        low = narrow.eval()(slices)
    torch.testing.assert_close(low.float(), narrow(slices), atol=0.05, rtol=0.05)
