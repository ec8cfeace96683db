"""The colorization network: released key layout, colors, checksum."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import pytest
import torch

from nephro_monai.errors import WeightsError
from nephro_monai.networks.colorization_cic import ColorfulColorizer, load_released_checkpoint
from nephro_monai.networks.lab_color import rgb_to_lab


def released_layout() -> dict[str, tuple[int, ...]]:
    """Keys and shapes of `colorization_release_v2-9b330a0b.pth`, from the architecture's table."""
    shapes: dict[str, tuple[int, ...]] = {}

    def convolutions(model: str, channels: list[int], norm: bool = True) -> None:
        for index, (inputs, outputs) in enumerate(itertools.pairwise(channels)):
            shapes[f"{model}.{2 * index}.weight"] = (outputs, inputs, 3, 3)
            shapes[f"{model}.{2 * index}.bias"] = (outputs,)
        if norm:
            position = 2 * (len(channels) - 1)
            for name in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{model}.{position}.{name}"] = (channels[-1],)
            shapes[f"{model}.{position}.num_batches_tracked"] = ()

    convolutions("model1", [1, 64, 64])
    convolutions("model2", [64, 128, 128])
    convolutions("model3", [128, 256, 256, 256])
    convolutions("model4", [256, 512, 512, 512])
    for model in ("model5", "model6", "model7"):
        convolutions(model, [512, 512, 512, 512])
    shapes |= {"model8.0.weight": (512, 256, 4, 4), "model8.0.bias": (256,)}
    for index in (2, 4):
        shapes |= {f"model8.{index}.weight": (256, 256, 3, 3), f"model8.{index}.bias": (256,)}
    shapes |= {"model8.6.weight": (313, 256, 1, 1), "model8.6.bias": (313,), "model_out.weight": (2, 313, 1, 1)}
    return shapes


def _saved(state: dict[str, torch.Tensor], folder: Path) -> Path:
    """A file named by the rule of the released one."""
    plain = folder / "plain.pth"
    torch.save(state, plain)
    return plain.rename(folder / f"colors-{hashlib.sha256(plain.read_bytes()).hexdigest()[:8]}.pth")


@pytest.fixture(scope="module")
def tiny() -> ColorfulColorizer:
    torch.manual_seed(0)
    return ColorfulColorizer(width=2, bins=20).eval()


def test_full_width_has_the_released_keys_and_shapes() -> None:
    with torch.device("meta"):
        # Only names and shapes are asked for: no 32 million values are drawn.
        state = torch.nn.Module.state_dict(_on_meta())
    assert {key: tuple(tensor.shape) for key, tensor in state.items()} == released_layout()


def _on_meta() -> ColorfulColorizer:
    network = ColorfulColorizer.__new__(ColorfulColorizer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nephro_monai.networks.colorization_cic.ab_bin_centers", lambda bins: torch.zeros(bins, 2))
        ColorfulColorizer.__init__(network, width=64, bins=313)
    return network


@pytest.mark.slow
def test_a_file_of_the_released_layout_loads_strictly(tmp_path: Path) -> None:
    state = {key: torch.rand(shape) for key, shape in released_layout().items()}
    network = ColorfulColorizer()
    assert load_released_checkpoint(network, _saved(state, tmp_path)) == (len(state), 0)
    assert torch.equal(network.model8[6].weight, state["model8.6.weight"])


def test_loading_counts_what_it_skips(tmp_path: Path, tiny: ColorfulColorizer, capsys: pytest.CaptureFixture) -> None:
    state = {key: torch.zeros_like(value) for key, value in tiny.state_dict().items()}
    path = _saved({**state, "ab_norm": torch.zeros(1)}, tmp_path)
    network = ColorfulColorizer(width=2, bins=20)
    assert load_released_checkpoint(network, path) == (len(state), 1)
    assert not network.model1[0].weight.any()
    assert f"{len(state)} tensors loaded, 1 skipped" in capsys.readouterr().out


def test_an_altered_file_is_refused(tmp_path: Path, tiny: ColorfulColorizer) -> None:
    path = _saved(tiny.state_dict(), tmp_path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(WeightsError, match="damaged or altered"):
        load_released_checkpoint(tiny, path)


def test_a_name_without_checksum_is_refused(tmp_path: Path, tiny: ColorfulColorizer) -> None:
    path = tmp_path / "colors.pth"
    torch.save(tiny.state_dict(), path)
    with pytest.raises(WeightsError, match="keep the released name"):
        load_released_checkpoint(tiny, path)


def test_a_missing_file_is_refused(tmp_path: Path, tiny: ColorfulColorizer) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        load_released_checkpoint(tiny, tmp_path / "colorization_release_v2-9b330a0b.pth")


def test_another_width_is_refused(tmp_path: Path, tiny: ColorfulColorizer) -> None:
    path = _saved(tiny.state_dict(), tmp_path)
    with pytest.raises(WeightsError, match=r"model1\.0\.weight .* instead of"):
        load_released_checkpoint(ColorfulColorizer(width=3, bins=20), path)


def test_lightness_is_kept() -> None:
    torch.manual_seed(0)
    network = ColorfulColorizer(width=2, bins=20).eval()
    network.model_out.weight.mul_(0.2)  # pale colors: saturated ones leave the sRGB gamut and are clipped
    gray = torch.linspace(0.3, 0.7, 32 * 48).reshape(1, 1, 32, 48)
    with torch.inference_mode():
        rgb = network(gray)
    assert rgb.shape == (1, 3, 32, 48)
    assert rgb.dtype == torch.float32
    assert rgb.min() >= 0 and rgb.max() <= 1
    expected = rgb_to_lab(gray.expand(-1, 3, -1, -1))[:, 0]
    torch.testing.assert_close(rgb_to_lab(rgb)[:, 0], expected, atol=0.5, rtol=0)


def test_no_color_gives_the_gray_slice_back() -> None:
    network = ColorfulColorizer(width=2, bins=20).eval()
    torch.nn.init.zeros_(network.model_out.weight)
    gray = torch.rand(2, 1, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(network(gray), gray.expand(-1, 3, -1, -1), atol=1e-3, rtol=0)


def test_output_is_the_expected_color_times_110() -> None:
    network = ColorfulColorizer(width=2, bins=20).eval()
    chosen = 7
    torch.nn.init.zeros_(network.model8[6].weight)
    torch.nn.init.zeros_(network.model8[6].bias)
    network.model8[6].bias.data[chosen] = 50.0
    gray = torch.full((1, 1, 16, 16), 0.6)
    with torch.inference_mode():
        ab = rgb_to_lab(network(gray))[0, 1:, 4, 4]
    expected = 110.0 * network.model_out.weight[:, chosen, 0, 0]
    assert expected.abs().max() > 5  # a color, not gray
    torch.testing.assert_close(ab, expected, atol=0.05, rtol=0)


@pytest.mark.parametrize("shape", [(1, 3, 16, 16), (1, 1, 20, 16), (1, 16, 16)])
def test_wrong_shapes_are_refused(tiny: ColorfulColorizer, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="resize"):
        tiny(torch.zeros(shape))


def test_bin_centers_are_not_trained(tiny: ColorfulColorizer) -> None:
    assert not tiny.model_out.weight.requires_grad


@pytest.mark.filterwarnings("ignore")
def test_can_be_scripted(tiny: ColorfulColorizer) -> None:
    gray = torch.rand(1, 1, 16, 16)
    torch.testing.assert_close(torch.jit.script(tiny)(gray), tiny(gray))
