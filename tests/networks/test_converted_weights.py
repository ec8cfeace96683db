"""Converted weights: counts, and refusals that say what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nephro_monai.errors import WeightsError
from nephro_monai.networks.converted_weights import load_converted_weights


@pytest.fixture
def network() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def _state(network: nn.Module) -> dict[str, torch.Tensor]:
    return {k: torch.full_like(v, 2.0) for k, v in network.state_dict().items() if "num_batches" not in k}


def test_counts_and_half_precision(network: nn.Module, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    state = {key: value.half() for key, value in _state(network).items()}
    save_file({**state, "other": torch.zeros(1)}, tmp_path / "a.safetensors")
    assert load_converted_weights(network, tmp_path / "a.safetensors") == (6, 1)
    assert network[0].weight.dtype == torch.float32 and (network[0].weight == 2).all()
    assert "6 tensors loaded, 1 skipped, 1 of the network's not in the file" in capsys.readouterr().out


def test_optional_tensors_stay(network: nn.Module, tmp_path: Path) -> None:
    before = network[0].weight.clone()
    save_file({k: v for k, v in _state(network).items() if k.startswith("1.")}, tmp_path / "a.safetensors")
    assert load_converted_weights(network, tmp_path / "a.safetensors", optional=("0.",)) == (4, 0)
    assert torch.equal(network[0].weight, before)


def test_missing_or_misshapen_tensors_change_nothing(network: nn.Module, tmp_path: Path) -> None:
    before = network[1].weight.clone()
    save_file({**_state(network), "0.bias": torch.zeros(4)}, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match=r"in 1 of 7 tensors, first 0\.bias \(4,\) instead of \(3,\)\. Do that\."):
        load_converted_weights(network, tmp_path / "a.safetensors", advice="Do that.")
    save_file({"0.bias": torch.zeros(3)}, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match=r"0\.weight missing"):
        load_converted_weights(network, tmp_path / "a.safetensors")
    assert torch.equal(network[1].weight, before)


def test_what_is_no_safetensors_file_is_refused(network: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        load_converted_weights(network, tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").write_bytes(b"PK\x03\x04 no")
    with pytest.raises(WeightsError, match="convert the released weights first"):
        load_converted_weights(network, tmp_path / "a.safetensors")
