"""Grad-CAM of the slices' votes against a computation by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nephro_monai.networks.slice_classifier import SliceClassifier
from nephro_monai.stages import ClassifySlicesd, ExplainSlicesd
from nephro_monai.structures import SliceVote


@pytest.fixture(scope="module")
def network() -> SliceClassifier:
    torch.manual_seed(0)
    encoder = {"name": "densenet", "init_features": 8, "growth_rate": 4, "block_config": [1, 1]}
    return SliceClassifier(encoder, head_features=8).eval()


def votes(*given: str | None) -> list[SliceVote]:
    return [SliceVote(1, z, z, 3.0 * z, 80.0, vote=vote) for z, vote in enumerate(given)]


def by_hand(features: torch.Tensor, tail: nn.Module, class_index: int) -> torch.Tensor:
    """Selvaraju 2017, equations 1 and 2, for one slice."""
    features = features.clone().requires_grad_()
    tail(features)[0, class_index].backward()
    weights = features.grad.mean(dim=(2, 3), keepdim=True)
    return torch.relu((weights * features).sum(1, keepdim=True)).detach()


def test_maps_are_those_of_the_paper(network):
    torch.manual_seed(1)
    features = torch.rand(5, network.head[3].num_features, 6, 6)
    given = votes("malignant", "benign", "malignant", None, "benign")
    stage = ExplainSlicesd(network.head, batch_size=2)
    with torch.inference_mode():  # as the runner calls it
        case = stage({"slice_features": features, "slice_votes": given})
    maps = case["slice_maps"]
    assert maps.shape == (5, 1, 6, 6)
    for place, vote in enumerate(given):
        if vote.vote is None:
            assert not maps[place].any()
            continue
        expected = by_hand(features[place : place + 1], network.head, ("benign", "malignant").index(vote.vote))
        peak = expected.max().clamp_min(1e-12)
        torch.testing.assert_close(maps[place : place + 1], expected / peak, rtol=1e-4, atol=1e-5)


def test_the_network_is_left_as_it_was(network):
    network.zero_grad(set_to_none=True)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    stage = ExplainSlicesd(network.head)
    stage({"slice_features": torch.rand(2, network.head[3].num_features, 4, 4), "slice_votes": votes("benign") * 2})
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())


def test_after_the_classifier(network):
    """The features are those of the pass that voted; a bright spot is found where it is."""

    class Spot(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.AvgPool2d(4)
            self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2, bias=False))
            self.head[2].weight.data = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])

        def forward(self, slices: torch.Tensor) -> torch.Tensor:
            return self.head(self.encoder(slices))

    slices = torch.zeros(1, 3, 16, 16)
    slices[:, 0, 4:8, 12:16] = 1.0
    spot = Spot()
    case = {"colorized_slices": slices, "slice_votes": votes(None)}
    case = ClassifySlicesd(spot, feature_layer="encoder")(case)
    assert case["slice_votes"][0].vote == "malignant" and case["slice_features"].shape == (1, 3, 4, 4)
    expected = torch.zeros(4, 4)
    expected[1, 3] = 1.0
    assert torch.equal(ExplainSlicesd(spot.head)(case)["slice_maps"][0, 0], expected)
    assert not spot.encoder._forward_hooks


def test_no_slices_no_maps(network):
    stage = ClassifySlicesd(network, feature_layer="encoder")
    case = stage({"colorized_slices": torch.zeros(0, 3, 32, 32), "slice_votes": []})
    assert ExplainSlicesd(network.head)(case)["slice_maps"].shape[0] == 0


def test_what_does_not_fit_is_said(network):
    with pytest.raises(ValueError, match="no layer 'encode' to keep features of; it has encoder, head"):
        ClassifySlicesd(network, feature_layer="encode")
    with pytest.raises(ValueError, match="name a feature_layer"):
        ExplainSlicesd(network.head)({"slice_votes": []})
    with pytest.raises(ValueError, match="2 slices in 'slice_features', 1 in"):
        ExplainSlicesd(network.head)({"slice_features": torch.zeros(2, 4, 3, 3), "slice_votes": votes("benign")})
    with pytest.raises(ValueError, match="batch_size"):
        ExplainSlicesd(network.head, batch_size=0)
