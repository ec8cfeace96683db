"""A tiny bundle of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from nephro_monai.engine.weights import checksum


@pytest.fixture
def tiny_bundle(tmp_path: Path) -> Path:
    """A bundle whose network is one linear layer, with listed weights."""
    root = tmp_path / "tiny_bundle"
    (root / "configs").mkdir(parents=True)
    (root / "models").mkdir()
    (root / "configs" / "metadata.json").write_text(
        json.dumps({"version": "1.2.3", "trained_on": "synthetic CT", "name": "Tiny"})
    )
    network = {"_target_": "torch.nn.Linear", "in_features": 3, "out_features": "@outputs"}
    (root / "configs" / "inference.json").write_text(json.dumps({"outputs": 2, "network_def": network}))
    (root / "configs" / "wide.json").write_text(json.dumps({"outputs": 5, "network_def#bias": False}))
    torch.manual_seed(0)
    torch.save(torch.nn.Linear(3, 2).state_dict(), root / "models" / "model.pt")
    digest = checksum(root / "models" / "model.pt")
    (root / "models" / "SHA256SUMS").write_text(f"{digest}  model.pt\n")
    return root
