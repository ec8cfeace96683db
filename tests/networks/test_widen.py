from __future__ import annotations

import pytest
import torch

from nephro_monai.networks.vnet import VNet
from nephro_monai.networks.widen import widened_weights


def net(width: int) -> VNet:
    torch.manual_seed(width)
    return VNet(width=width, kernel_size=3, dropout=(0.0, 0.0, 0.0)).eval()


@pytest.fixture
def narrow() -> VNet:
    """A V-Net whose batch statistics are not those it was born with."""
    network = net(2).train()
    for _ in range(3):
        network(torch.randn(2, 1, 16, 16, 16) * 2 + 1)
    return network.eval()


@torch.no_grad()
@pytest.mark.parametrize("width", [4, 6])
def test_the_wide_network_computes_what_the_narrow_one_does(narrow: VNet, width: int) -> None:
    wide = net(width)
    image = torch.randn(1, 1, 32, 16, 16)
    assert not torch.allclose(wide(image), narrow(image), atol=1e-2)
    wide.load_state_dict(widened_weights(narrow.state_dict(), wide))
    torch.testing.assert_close(wide(image), narrow(image), rtol=1e-4, atol=1e-4)


def test_half_precision_becomes_float32(narrow: VNet) -> None:
    made = widened_weights(narrow.half().state_dict(), net(4))
    assert {value.dtype for value in made.values()} == {torch.float32, torch.int64}


@torch.no_grad()
def test_noise_parts_the_copies(narrow: VNet) -> None:
    name = "down_tr64.ops.0.conv_block.conv.weight"
    equal = widened_weights(narrow.state_dict(), net(4))[name]
    assert torch.equal(equal[0], equal[1])
    apart = widened_weights(narrow.state_dict(), net(4), noise=0.1)[name]
    assert not torch.equal(apart[0], apart[1])
    assert float(((apart - equal) / equal).std()) == pytest.approx(0.1, rel=0.1)


def test_what_does_not_fit_is_refused(narrow: VNet) -> None:
    with pytest.raises(ValueError, match="does not divide"):
        widened_weights(narrow.state_dict(), net(3))
    grouped = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3, groups=2))
    with pytest.raises(ValueError, match="Grouped"):
        widened_weights(grouped.state_dict(), grouped)
    with pytest.raises(ValueError, match="Names differ"):
        widened_weights({"a": torch.zeros(1)}, net(4))
