"""The detection bundle: what the contract of every bundle (test_contract.py) does not say."""

from __future__ import annotations

import pytest

from nephro_monai.engine.bundles import read_configs

NAME = "kidney_ct_detection_faster_rcnn"


@pytest.mark.parametrize("base", ["train.json", "inference.json"])
def test_full_size_is_the_paper(base):
    parser = read_configs(NAME, (base, "full_size.json"))
    network = parser.get_parsed_content("network_def")
    assert network.backbone.conv1.out_channels == 64
    assert network.rpn._post_nms_top_n["testing"] == 300
    assert (network.grid.input_size, network.grid.pixel_spacing_mm) == (512, 0.8)
