"""Larsson's colorizer: hypercolumns, sampled and full, released layout."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from nephro_monai.errors import WeightsError
from nephro_monai.networks.colorization_lrac import HypercolumnColorizer, load_released_checkpoint


@pytest.fixture
def tiny() -> HypercolumnColorizer:
    torch.manual_seed(0)
    return HypercolumnColorizer(width=2, bins=8, dropout=0.0).eval()


def released_layout() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the released Caffe layers, from the authors' description."""
    shapes: dict[str, tuple[int, ...]] = {}
    inputs = 1
    names = ["1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3", "4_1", "4_2", "4_3", "5_1", "5_2", "5_3"]
    channels = [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6
    for name, outputs in zip(names, channels, strict=True):
        shapes[f"conv{name}"] = (outputs, inputs, 3, 3)
        inputs = outputs
    shapes |= {"fc6": (4096, 512, 7, 7), "fc7": (4096, 4096, 1, 1), "h_fc1": (1024, 12417, 1, 1)}
    shapes |= {"prediction_h": (32, 1024, 1, 1), "prediction_c": (32, 1024, 1, 1)}
    return {f"{k}.weight": v for k, v in shapes.items()} | {f"{k}.bias": v[:1] for k, v in shapes.items()}


def test_full_width_has_the_released_keys_and_shapes() -> None:
    with torch.device("meta"):
        state = HypercolumnColorizer(batch_norm=False).state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == released_layout()


def _hypercolumns(network: HypercolumnColorizer, gray: torch.Tensor) -> torch.Tensor:
    """All channels at every cell, joined as the paper writes it."""
    size = (gray.shape[2] // 4, gray.shape[3] // 4)
    columns = []
    for features in network._features(gray):
        if features.shape[2] >= size[0]:
            columns.append(functional.adaptive_avg_pool2d(features, size))
        else:
            columns.append(functional.interpolate(features, size, mode="bilinear", align_corners=False))
    return torch.cat(columns, dim=1)


def test_full_prediction_is_that_of_the_joined_hypercolumn(tiny: HypercolumnColorizer) -> None:
    gray = torch.rand(2, 1, 64, 96)
    with torch.inference_mode():
        hidden = torch.relu(tiny.h_fc1(_hypercolumns(tiny, gray)))
        hue, chroma = tiny.logits(gray)
        torch.testing.assert_close(hue, tiny.prediction_h(hidden), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(chroma, tiny.prediction_c(hidden), atol=1e-4, rtol=1e-4)
    assert hue.shape == (2, 8, 16, 24)


def test_sampled_prediction_is_the_full_one_at_those_cells(tiny: HypercolumnColorizer) -> None:
    gray = torch.rand(2, 1, 64, 96)
    cells = torch.stack([torch.randperm(16 * 24)[:20] for _ in range(2)])
    cells[:, :4] = torch.tensor([0, 23, 15 * 24, 16 * 24 - 1])  # the corners
    with torch.inference_mode():
        for full, sampled in zip(tiny.logits(gray), tiny.sampled_logits(gray, cells), strict=True):
            assert sampled.shape == (2, 8, 20)
            expected = full.flatten(2).gather(2, cells[:, None].expand(-1, 8, -1))
            torch.testing.assert_close(sampled, expected, atol=1e-4, rtol=1e-4)


def test_gradients_of_few_cells_reach_every_parameter() -> None:
    torch.manual_seed(0)
    network = HypercolumnColorizer(width=2, bins=4, dropout=0.0).train()
    hue, chroma = network.sampled_logits(torch.rand(2, 1, 64, 64), torch.randint(0, 256, (2, 9)))
    (hue.square().sum() + chroma.square().sum()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    assert network.conv1_1.weight.grad.any() and network.fc7.weight.grad.any()


def test_colors_follow_the_distributions(tiny: HypercolumnColorizer) -> None:
    for head, chosen in ((tiny.prediction_h, 2), (tiny.prediction_c, 3)):
        torch.nn.init.zeros_(head.weight)
        head.bias.data = torch.where(torch.arange(8) == chosen, 50.0, 0.0)
    gray = torch.full((1, 1, 32, 32), 0.5)
    with torch.inference_mode():
        rgb = tiny(gray)
    assert rgb.shape == (1, 3, 32, 32)
    r, g, b = rgb[0, :, 16, 16]
    assert g > r > b  # hue 2.5 / 8: between yellow (1 / 6) and green (1 / 3)
    torch.testing.assert_close(g - b, torch.tensor(3.5 / 8), atol=1e-4, rtol=0)
    torch.testing.assert_close(rgb.mean(1, keepdim=True), gray, atol=1e-4, rtol=0)


def test_hues_that_cancel_out_leave_the_slice_gray(tiny: HypercolumnColorizer) -> None:
    torch.nn.init.zeros_(tiny.prediction_h.weight)
    torch.nn.init.zeros_(tiny.prediction_h.bias)
    gray = torch.rand(1, 1, 32, 64)
    with torch.inference_mode():
        torch.testing.assert_close(tiny(gray), gray.expand(-1, 3, -1, -1), atol=1e-4, rtol=0)
        assert tiny.predict_ab(gray).shape == (1, 2, 8, 16)
        assert tiny.predict_ab(gray).abs().max() < 0.1


def test_bfloat16_is_close(tiny: HypercolumnColorizer) -> None:
    gray = torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        exact = tiny(gray)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = tiny(gray)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, atol=0.05, rtol=0)


def test_a_converted_checkpoint_loads(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    torch.manual_seed(1)
    source = HypercolumnColorizer(width=2, bins=8, batch_norm=False).eval()
    filters = {"fc7_full.weight": torch.ones(4, 1, 16, 16)}
    save_file({**source.state_dict(), **filters}, tmp_path / "autocolorize.safetensors")
    network = HypercolumnColorizer(width=2, bins=8, batch_norm=False).eval()
    assert load_released_checkpoint(network, tmp_path / "autocolorize.safetensors") == (len(source.state_dict()), 1)
    assert f"{len(source.state_dict())} tensors loaded, 1 skipped" in capsys.readouterr().out
    gray = torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        assert torch.equal(network(gray), source(gray))


def test_a_network_with_norms_is_told_to_leave_them_out(tmp_path: Path, tiny: HypercolumnColorizer) -> None:
    save_file(HypercolumnColorizer(width=2, bins=8, batch_norm=False).state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="batch_norm=False"):
        load_released_checkpoint(tiny, tmp_path / "a.safetensors")


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (1, 1, 48, 32), (1, 32, 32)])
def test_wrong_shapes_are_refused(tiny: HypercolumnColorizer, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="resize"):
        tiny(torch.zeros(shape))


@pytest.mark.parametrize("arguments", [{"width": 0}, {"bins": 1}, {"dropout": 1.0}])
def test_wrong_arguments_are_refused(arguments: dict) -> None:
    with pytest.raises(ValueError, match="width must be at least 1"):
        HypercolumnColorizer(**arguments)
