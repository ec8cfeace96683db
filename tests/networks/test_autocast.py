from __future__ import annotations

import torch

from nephro_monai.networks import autocast as module
from nephro_monai.networks.autocast import autocast, bfloat16_is_fast


def test_follows_the_processor(monkeypatch):
    for has in (True, False):
        monkeypatch.setattr(module, "_cpu_multiplies_bfloat16", lambda has=has: has)
        assert bfloat16_is_fast("cpu") is has
        with autocast("cpu"):
            product = torch.ones(2, 2) @ torch.ones(2, 2)
        assert product.dtype == (torch.bfloat16 if has else torch.float32)


def test_can_be_decided_by_hand():
    for enabled, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        with autocast(torch.device("cpu"), enabled):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_unknown_devices_are_slow():
    assert bfloat16_is_fast("meta") is False
