"""Let there be Color: published sizes, global branch, converted weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nephro_monai.errors import WeightsError
from nephro_monai.networks.colorization_ltbc import LetThereBeColor, load_released_checkpoint
from nephro_monai.networks.lab_color import rgb_to_lab


@pytest.fixture
def tiny() -> LetThereBeColor:
    torch.manual_seed(0)
    return LetThereBeColor(width=2, classes=3, global_size=64).eval()


def _parameters(weights: list[tuple[int, int, int]]) -> int:
    return sum(inputs * outputs * area + outputs for inputs, outputs, area in weights)


def test_full_width_has_the_published_layers() -> None:
    with torch.device("meta"):
        network = LetThereBeColor(width=64, classes=205, batch_norm=False)
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    low = [shapes[f"low.{i}.layer.weight"][0] for i in range(6)]
    assert low == [64, 128, 128, 256, 256, 512]
    assert [network.low[i].layer.stride[0] for i in range(6)] == [2, 1, 2, 1, 2, 1]
    assert [shapes[f"mid.{i}.layer.weight"][0] for i in range(2)] == [512, 256]
    assert [network.global_conv[i].layer.stride[0] for i in range(4)] == [2, 1, 2, 1]
    assert shapes["global_dense.0.layer.weight"] == (1024, 25088)
    assert shapes["global_dense.1.layer.weight"] == (512, 1024)
    assert shapes["global_vector.layer.weight"] == (256, 512)
    assert shapes["fusion.layer.weight"] == (256, 512, 1, 1)
    decoder = [shapes[f"color.{key}.layer.weight"][0] for key in ("0.0", "2.0", "2.1", "4.0")]
    assert decoder == [128, 64, 64, 32] and shapes["color.5.weight"] == (2, 32, 3, 3)
    assert shapes["side.1.weight"] == (205, 256)
    low_level = [(1, 64, 9), (64, 128, 9), (128, 128, 9), (128, 256, 9), (256, 256, 9), (256, 512, 9)]
    rest = [(512, 512, 9), (512, 256, 9), *[(512, 512, 9)] * 4, (25088, 1024, 1), (1024, 512, 1), (512, 256, 1)]
    decoder_layers = [(512, 256, 1), (256, 128, 9), (128, 64, 9), (64, 64, 9), (64, 32, 9), (32, 2, 9)]
    expected = _parameters([*low_level, *rest, *decoder_layers, (512, 256, 1), (256, 205, 1)])
    assert sum(p.numel() for p in network.parameters()) == expected


def test_sizes_and_ranges(tiny: LetThereBeColor) -> None:
    gray = torch.rand(1, 1, 40, 72)
    with torch.inference_mode():
        colors, scores = tiny.chrominance(gray)
        rgb = tiny(gray)
    assert colors.shape == (1, 2, 20, 36) and scores.shape == (1, 3)
    assert colors.min() >= 0 and colors.max() <= 1
    assert rgb.shape == (1, 3, 40, 72) and rgb.dtype == torch.float32
    assert rgb.min() >= 0 and rgb.max() <= 1


def test_half_of_the_sigmoid_is_gray_and_one_is_a_hundred(tiny: LetThereBeColor) -> None:
    torch.nn.init.zeros_(tiny.color[5].weight)
    torch.nn.init.zeros_(tiny.color[5].bias)
    gray = torch.rand(2, 1, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(tiny(gray), gray.expand(-1, 3, -1, -1), atol=1e-3, rtol=0)
        tiny.color[5].bias.copy_(torch.tensor([50.0, -50.0]))
        ab = tiny.predict_ab(gray)
    torch.testing.assert_close(ab[:, 0], torch.full((2, 8, 8), 100.0))
    torch.testing.assert_close(ab[:, 1], torch.full((2, 8, 8), -100.0))


def test_lightness_is_kept(tiny: LetThereBeColor) -> None:
    torch.nn.init.zeros_(tiny.color[5].weight)
    tiny.color[5].bias.data = torch.tensor([0.2, 0.1])  # pale: saturated colors leave the sRGB gamut and are clipped
    gray = torch.linspace(0.3, 0.7, 16 * 24).reshape(1, 1, 16, 24)
    with torch.inference_mode():
        lab = rgb_to_lab(tiny(gray))
    torch.testing.assert_close(lab[:, :1], rgb_to_lab(gray.expand(-1, 3, -1, -1))[:, :1], atol=0.5, rtol=0)
    assert lab[:, 1].mean() > 5


def test_the_far_corner_matters_through_the_global_branch() -> None:
    torch.manual_seed(0)
    network = LetThereBeColor(width=8, global_size=32, batch_norm=False).eval()
    gray = torch.rand(1, 1, 256, 256)
    changed = gray.clone()
    changed[..., 192:, 192:] = 0.0
    with torch.inference_mode():
        # The local branch and the decoder see less than 100 pixels far.
        far = (network.predict_ab(gray) - network.predict_ab(changed))[..., :8, :8].abs().max()
        network.global_vector.layer.weight.zero_()
        local = (network.predict_ab(gray) - network.predict_ab(changed))[..., :8, :8].abs().max()
    assert far > 0 and local == 0


@pytest.mark.parametrize("batch_norm", [True, False])
def test_gradients_reach_every_parameter(batch_norm: bool) -> None:
    torch.manual_seed(0)
    network = LetThereBeColor(width=4, global_size=32, batch_norm=batch_norm).train()
    colors, scores = network.chrominance(torch.rand(3, 1, 32, 32))
    (colors.square().sum() + scores.square().sum()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    reached = {name for name, p in network.named_parameters() if p.grad.any()}
    assert {"low.0.layer.weight", "mid.1.layer.weight", "global_dense.0.layer.weight", "side.1.weight"} <= reached


def test_bfloat16_is_close(tiny: LetThereBeColor) -> None:
    gray = torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        exact = tiny(gray)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = tiny(gray)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, atol=0.05, rtol=0)


def _converted(network: LetThereBeColor, folder: Path, **more: torch.Tensor) -> Path:
    """A file as the conversion makes it: no batch counters, nothing of the side branch."""
    state = {
        key: value.contiguous()
        for key, value in network.state_dict().items()
        if not key.startswith("side.") and not key.endswith("num_batches_tracked")
    }
    save_file({**state, **more}, folder / "colornet.safetensors")
    return folder / "colornet.safetensors"


@pytest.mark.parametrize("batch_norm", [True, False])
def test_a_converted_checkpoint_loads(tmp_path: Path, batch_norm: bool, capsys: pytest.CaptureFixture) -> None:
    torch.manual_seed(1)
    source = LetThereBeColor(width=2, classes=205, global_size=64, batch_norm=batch_norm).eval()
    source.mean.fill_(0.44)
    path = _converted(source, tmp_path, extra=torch.zeros(1))
    torch.manual_seed(2)
    network = LetThereBeColor(width=2, classes=7, global_size=64, batch_norm=batch_norm).eval()
    loaded, skipped = load_released_checkpoint(network, path)
    assert skipped == 1
    assert f"{loaded} tensors loaded, 1 skipped" in capsys.readouterr().out
    gray = torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        assert torch.equal(network(gray), source(gray))


def test_a_checkpoint_without_norms_says_what_to_do(tmp_path: Path) -> None:
    path = _converted(LetThereBeColor(width=2, global_size=64, batch_norm=False), tmp_path)
    with pytest.raises(WeightsError, match="batch_norm=False"):
        load_released_checkpoint(LetThereBeColor(width=2, global_size=64), path)


@pytest.mark.parametrize("shape", [(1, 3, 16, 16), (1, 1, 20, 16), (1, 16, 16)])
def test_wrong_shapes_are_refused(tiny: LetThereBeColor, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="resize"):
        tiny(torch.zeros(shape))


@pytest.mark.parametrize("arguments", [{"width": 3}, {"classes": 0}, {"global_size": 100}])
def test_wrong_arguments_are_refused(arguments: dict) -> None:
    with pytest.raises(ValueError, match="width must be even"):
        LetThereBeColor(**arguments)


@pytest.mark.filterwarnings("ignore")
def test_can_be_scripted(tiny: LetThereBeColor) -> None:
    gray = torch.rand(1, 1, 16, 16)
    torch.testing.assert_close(torch.jit.script(tiny)(gray), tiny(gray))
