"""The two-step head against its equation, on SCNet's features and on other networks."""

from __future__ import annotations

import pytest
import torch
from monai.networks.nets import UNet
from torch.nn import functional

from nephro_monai.networks.enet import ENet
from nephro_monai.networks.two_step_head import TwoStepHead, TwoStepNetwork, network_outputs, resized_like
from nephro_monai.networks.vnet import VNet


@pytest.mark.parametrize("dims", [2, 3])
def test_the_equation_by_hand(dims):
    torch.manual_seed(dims)
    head = TwoStepHead(6, classes=3, features=5, spatial_dims=dims).eval()
    x = torch.randn(2, 6, *(7, 5, 4)[:dims])
    convolve = functional.conv2d if dims == 2 else functional.conv3d
    # Y = Phi2(Phi1(X) * F(X) + F(X)), written out with the head's own weights.
    exponent = convolve(x, head.phi1.weight, head.phi1.bias).exp()
    probability = (exponent[:, 1] / exponent.sum(1)).unsqueeze(1)
    normalized = convolve(x, head.f[0].weight, padding=1) / (1 + head.f[1].eps) ** 0.5
    f = normalized.clamp(min=0)
    y = convolve(probability * f + f, head.phi2.weight, head.phi2.bias)
    binary, ternary = head(x)
    torch.testing.assert_close(binary, exponent.log())
    torch.testing.assert_close(ternary, y)


def test_f_has_32_channels_as_in_the_paper():
    head = TwoStepHead(64)
    assert head.f[0].out_channels == head.phi2.in_channels == 32
    assert (head.phi1.out_channels, head.phi2.out_channels) == (2, 3)


def test_attention_reaches_the_ternary_classifier():
    """Certain background leaves F as it is, certain kidney doubles it."""
    head = TwoStepHead(4).eval()
    with torch.no_grad():
        head.phi1.weight.zero_()
        x = torch.randn(1, 4, 6, 6)
        head.phi1.bias.copy_(torch.tensor([60.0, -60.0]))
        alone = head(x)[1]
        head.phi1.bias.copy_(torch.tensor([-60.0, 60.0]))
        doubled = head(x)[1]
    bias = head.phi2.bias[:, None, None]
    torch.testing.assert_close(doubled - bias, 2 * (alone - bias))


def test_vnet_carries_it():
    plain = VNet(width=2, dropout=(0.0, 0.0, 0.0))
    network = TwoStepNetwork(VNet(width=2, dropout=(0.0, 0.0, 0.0)), "out_tr")
    image = torch.randn(2, 1, 16, 32, 16)
    outputs = network.outputs(image)
    assert outputs.ternary.shape == plain(image).shape == (2, 3, 16, 32, 16)
    assert outputs.binary.shape == (2, 2, 16, 32, 16) and outputs.classes is None
    (outputs.ternary.square().mean() + outputs.binary.square().mean()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    network.eval()
    torch.testing.assert_close(network(image), network.outputs(image).ternary)


def test_enet_carries_it():
    network = TwoStepNetwork(ENet(in_channels=1, out_channels=3), "fullconv").eval()
    image = torch.randn(1, 1, 64, 64)
    outputs = network.outputs(image)
    assert outputs.ternary.shape == (1, 3, 64, 64) and outputs.binary.shape == (1, 2, 64, 64)
    torch.testing.assert_close(network(image), outputs.ternary)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_last_layer_that_enlarges_is_made_up_for(dims):
    unet = UNet(spatial_dims=dims, in_channels=1, out_channels=3, channels=(4, 8, 16), strides=(2, 2))
    network = TwoStepNetwork(unet, "model.2", features=8).eval()
    image = torch.randn(1, 1, *(16, 32, 16)[:dims])
    assert network(image).shape == (1, 3, *image.shape[2:])
    assert network.head.phi1.in_channels == 8


def test_a_wrong_layer_is_named():
    with pytest.raises(ValueError, match=r"no layer 'final'.*in_tr"):
        TwoStepNetwork(VNet(width=1), "final")
    with pytest.raises(ValueError, match="holds no convolution"):
        TwoStepNetwork(VNet(width=1), "out_tr.act_function1")
    with pytest.raises(ValueError, match="got 1"):
        TwoStepHead(4, spatial_dims=1)


def test_resizing_is_left_out_where_sizes_agree():
    logits = torch.randn(1, 3, 4, 4)
    assert resized_like(logits, torch.zeros(1, 1, 4, 4)) is logits
    assert resized_like(logits, torch.zeros(1, 2, 9, 5)).shape == (1, 3, 9, 5)


def test_outputs_of_plain_networks():
    image = torch.zeros(2, 1, 32, 32)
    outline = network_outputs(torch.nn.Conv2d(1, 3, 1), image)
    assert outline.ternary.shape == (2, 3, 32, 32) and outline.classes is None
    classes = network_outputs(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(1024, 3)), image)
    assert classes.classes.shape == (2, 3) and classes.ternary is None


def test_slice_statistics_go_to_the_network_within():
    network = TwoStepNetwork(ENet(in_channels=1, out_channels=3, slice_shape=(16, 16)), "fullconv")
    network.set_statistics(torch.full((1, 16, 16), 7.0), torch.full((1, 16, 16), 30.0))
    assert network.network.standardize.mean.eq(7).all()
    with pytest.raises(ValueError, match="no slice statistics"):
        TwoStepNetwork(VNet(width=1), "out_tr").set_statistics(torch.zeros(1, 16, 16), torch.ones(1, 16, 16))
