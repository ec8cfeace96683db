"""The pyramid's views and PSPNet."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from nephro_monai.networks.pyramid import PSPNet, PyramidParsing

NARROW = {"name": "resnet10t", "channels": [4, 8, 12, 16], "stem_width": 4}


def test_each_branch_by_hand():
    torch.manual_seed(0)
    pyramid = PyramidParsing(3).eval()
    features = torch.randn(1, 3, 16, 24)
    out = pyramid(features)
    assert out.shape[1] == pyramid.channels == 3 + 3 * 1
    torch.testing.assert_close(out[:, :3], features)  # the direct shortcut
    for index, ratio in enumerate((2, 4, 8)):
        convolution, norm = pyramid.branches[index][1], pyramid.branches[index][2]
        small = features.reshape(1, 3, 16 // ratio, ratio, 24 // ratio, ratio).mean((3, 5))
        view = functional.conv2d(small, convolution.weight).clamp(min=0) / (1 + norm.eps) ** 0.5
        view = functional.interpolate(view, size=(16, 24), mode="bilinear", align_corners=False)
        torch.testing.assert_close(out[:, 3 + index : 4 + index], view)


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (38, 38), (19, 7)])
def test_any_size(size):
    assert PyramidParsing(6).eval()(torch.zeros(1, 6, *size)).shape == (1, 12, *size)


def test_ratios_are_checked():
    with pytest.raises(ValueError, match="at least 2"):
        PyramidParsing(6, ratios=(1, 2))


def test_pspnet():
    network = PSPNet(in_channels=2, encoder=NARROW, features=8)
    image = torch.randn(2, 2, 62, 50)
    logits = network(image)
    assert logits.shape == (2, 3, 62, 50)
    logits.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
