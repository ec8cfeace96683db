"""Coloring tumor slices: windows first, three ways to color, no slice at all."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nephro_monai.networks.colorization_cic import ColorfulColorizer
from nephro_monai.stages.colorize import (
    ColorizeSlicesd,
    GrayColorizer,
    LearnedColorizer,
    ThreeWindowColorizer,
    colorize_slices,
    window_slices,
)


def _levels(*hu: float) -> torch.Tensor:
    """One uniform slice per HU."""
    return torch.tensor(hu)[:, None, None, None].expand(-1, 1, 13, 13).clone()


class _Recorder(nn.Module):
    """Gray copies that remember what they were given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, gray: torch.Tensor) -> torch.Tensor:
        self.seen.append(gray)
        return gray.expand(-1, 3, -1, -1)


def test_window_of_center_60_and_width_400() -> None:
    colored = colorize_slices(_levels(-1024.0, -140.0, 60.0, 260.0, 3071.0), GrayColorizer(), size=26)
    assert colored.shape == (5, 3, 26, 26)
    torch.testing.assert_close(colored[:, :, 3, 3], torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0])[:, None].expand(-1, 3))


def test_three_windows_become_red_green_blue() -> None:
    colored = colorize_slices(_levels(40.0), ThreeWindowColorizer(), size=16)
    torch.testing.assert_close(colored[0, :, 0, 0], torch.tensor([0.5, 0.2, 0.8]))


def test_three_windows_must_be_three() -> None:
    with pytest.raises(ValueError, match="got 2"):
        ThreeWindowColorizer([(0, 1), (0, 2)])


def test_windowing_comes_before_resizing() -> None:
    metal = _levels(0.0)
    metal[..., 6] = 3071.0
    resized = window_slices(metal, ((-140.0, 260.0),), 26)
    assert resized.max() <= 1.0
    assert 0.35 < resized[0, 0, 0, 11] < 1.0  # between the neighbors' gray and white, not saturated by 3071 HU


def test_one_slice_without_batch() -> None:
    one, many = _levels(30.0)[0], _levels(30.0)
    torch.testing.assert_close(
        colorize_slices(one, GrayColorizer(), size=16), colorize_slices(many, GrayColorizer(), size=16)[0]
    )


def test_learned_colors_are_the_networks() -> None:
    torch.manual_seed(0)
    network = ColorfulColorizer(width=2, bins=12).eval()
    slices = torch.rand(2, 1, 13, 13) * 400 - 140
    with torch.inference_mode():
        expected = network(window_slices(slices, ((-140.0, 260.0),), 16))
    case = ColorizeSlicesd(LearnedColorizer(network, use_bfloat16=False), size=16)({"tumor_slices": slices})
    torch.testing.assert_close(case["colorized_slices"], expected)
    assert case["tumor_slices"] is slices


def test_batches_do_not_matter() -> None:
    recorder = _Recorder()
    slices = torch.rand(5, 1, 13, 13) * 400 - 140
    case = ColorizeSlicesd(recorder, size=16, batch_size=2)({"tumor_slices": slices})
    assert [len(batch) for batch in recorder.seen] == [2, 2, 1]
    torch.testing.assert_close(case["colorized_slices"][:, :1], torch.cat(recorder.seen))


def test_no_slice_in_none_out() -> None:
    recorder = _Recorder()
    case = ColorizeSlicesd(recorder, size=16)({"tumor_slices": torch.zeros(0, 1, 130, 130)})
    assert case["colorized_slices"].shape == (0, 3, 16, 16)
    assert case["colorized_slices"].dtype == torch.float32
    assert not recorder.seen


@pytest.mark.parametrize("wrong", [{"size": 0}, {"batch_size": 0}, {"keys": ["a", "b"]}])
def test_wrong_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="ColorizeSlicesd needs"):
        ColorizeSlicesd(GrayColorizer(), **wrong)
