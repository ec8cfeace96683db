"""Resolution and weights of the dilated backbone."""

from __future__ import annotations

import pytest
import timm
import torch

from nephro_monai.errors import WeightsError
from nephro_monai.networks.dilated_resnet import DilatedResNet, load_pretrained_backbone

NARROW = {"name": "resnet10t", "channels": [4, 8, 12, 16], "stem_width": 4}


@pytest.mark.parametrize(("stride", "side"), [(4, 38), (8, 19), (16, 10)])
def test_output_stride(stride, side):
    backbone = DilatedResNet(output_stride=stride, **NARROW)
    assert backbone(torch.zeros(1, 1, 150, 150)).shape == (1, backbone.channels, side, side)
    assert backbone.channels == 16


def test_strides_become_dilations_with_the_same_weights():
    with torch.device("meta"):
        backbone, plain = DilatedResNet("resnet50", 2), timm.create_model("resnet50", in_chans=2, num_classes=0)
    shapes = {key: value.shape for key, value in backbone.network.state_dict().items()}
    assert shapes == {key: value.shape for key, value in plain.state_dict().items()}
    assert backbone.channels == 2048
    strides = [m.stride for m in backbone.modules() if isinstance(m, torch.nn.Conv2d) and m.stride != (1, 1)]
    assert len(strides) == 3, "the first convolution, and the second stage's with its shortcut"
    dilations = {m.dilation[0] for m in backbone.modules() if isinstance(m, torch.nn.Conv2d)}
    assert dilations == {1, 2, 4}


def test_weights_by_file(tmp_path):
    source = timm.create_model("resnet18", in_chans=3, num_classes=10, channels=(4, 8, 12, 16))
    state = {f"module.{key}": value for key, value in source.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "resnet.pt")
    backbone = DilatedResNet("resnet18", 1, channels=(4, 8, 12, 16))
    loaded, skipped = load_pretrained_backbone(backbone, tmp_path / "resnet.pt")
    assert (loaded, skipped) == (len(backbone.network.state_dict()), 2)
    own = backbone.network.state_dict()
    torch.testing.assert_close(own["conv1.weight"], source.conv1.weight.sum(1, keepdim=True))
    torch.testing.assert_close(own["layer4.1.conv2.weight"], source.layer4[1].conv2.weight)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    backbone = DilatedResNet(**NARROW)
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="fits only 0"):
        load_pretrained_backbone(backbone, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="does not exist"):
        load_pretrained_backbone(backbone, tmp_path / "absent.pt")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(WeightsError, match="not a plain"):
        load_pretrained_backbone(backbone, tmp_path / "text.pt")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "nonet"}, "timm ResNet"),
        ({"name": "densenet121"}, "no ResNet|unexpected"),
        ({"name": "resnet10t", "output_stride": 2}, "got 2"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises((ValueError, TypeError), match=message):
        DilatedResNet(**settings)
