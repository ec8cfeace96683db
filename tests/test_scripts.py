"""Scripts beside the package."""

from __future__ import annotations

import runpy
from pathlib import Path

import torch

from nephro_monai.networks.vnet import VNet

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


def test_a_network_with_a_cyst_class_says_of_the_others_what_it_said_before():
    torch.manual_seed(0)
    old = VNet(out_channels=3, width=2, kernel_size=3).eval()
    new = VNet(out_channels=4, width=2, kernel_size=3).eval()
    new.load_state_dict(runpy.run_path(str(SCRIPTS / "add_cyst_class.py"))["with_cyst_class"](old.state_dict()))
    image = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        before, after = old(image), new(image)
    torch.testing.assert_close(after[:, :3], before, atol=0.25, rtol=0)
    assert (after.argmax(1) < 3).all(), "the new class starts behind the kidney"
