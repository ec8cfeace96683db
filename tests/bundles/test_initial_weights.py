"""`nephro train BUNDLE --init shipped` for every bundle that trains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from nephro_monai.engine.bundles import find_bundle, read_configs

BUNDLES = sorted(json.loads((Path(__file__).parent / "contract.json").read_text()))


@pytest.mark.parametrize("name", BUNDLES)
def test_training_starts_from_the_weights_that_ship(name: str) -> None:
    """`nephro train BUNDLE --init shipped`: what `run` does before it fits, and the network after it."""
    shipped = find_bundle(name) / "models" / "model.pt"
    chosen = {"initial_weights": str(shipped), "device": "$torch.device('cpu')"}
    parser = read_configs(name, ("train.json",), chosen)
    parser.config.pop("statistics", None)  # an ENet's, of the training cases, if it starts from no weights
    parser.config["run"] = [
        step.replace("@network_def.set_statistics(*@statistics)", "None") for step in parser.config["run"]
    ]
    (index,) = [i for i, step in enumerate(parser.config["run"]) if "load_weights(" in step]
    assert index < next(i for i, step in enumerate(parser.config["run"]) if ".fit(" in step)
    parser.get_parsed_content(f"run#{index}")
    network = parser.get_parsed_content("network_def").state_dict()
    for key, value in torch.load(shipped, weights_only=True).items():
        assert torch.equal(network[key], value.to(network[key].dtype)), key
