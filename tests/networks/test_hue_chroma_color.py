"""Hue, chroma and lightness against scikit-image and by hand."""

from __future__ import annotations

import numpy as np
import torch
from skimage.color import rgb2hsv

from nephro_monai.networks.hue_chroma_color import expected_hue_chroma, hue_chroma_to_rgb, rgb_to_hue_chroma


def test_hue_and_chroma_are_those_of_hsv() -> None:
    torch.manual_seed(0)
    rgb = torch.rand(2, 3, 5, 7)
    hsv = torch.from_numpy(np.ascontiguousarray(rgb2hsv(rgb.numpy(), channel_axis=1)))
    found = rgb_to_hue_chroma(rgb)
    torch.testing.assert_close(found[:, 0], hsv[:, 0].float(), atol=1e-5, rtol=0)
    torch.testing.assert_close(found[:, 1], (hsv[:, 1] * hsv[:, 2]).float(), atol=1e-5, rtol=0)


def test_gray_has_neither() -> None:
    assert not rgb_to_hue_chroma(torch.full((1, 3, 2, 2), 0.4)).any()


def test_back_and_forth() -> None:
    torch.manual_seed(0)
    rgb = torch.rand(2, 3, 5, 7)
    torch.testing.assert_close(hue_chroma_to_rgb(rgb_to_hue_chroma(rgb), rgb.mean(1, keepdim=True)), rgb)


def test_lightness_is_kept_where_chroma_is_impossible() -> None:
    torch.manual_seed(0)
    lightness = torch.linspace(0.0, 1.0, 50).reshape(1, 1, 5, 10)
    rgb = hue_chroma_to_rgb(torch.rand(1, 2, 5, 10).clamp(min=0.8), lightness)
    torch.testing.assert_close(rgb.mean(1, keepdim=True), lightness)
    assert not rgb[..., 0, 0].any() and (rgb[..., -1, -1] == 1).all()


def test_the_mean_of_hues_goes_around_the_circle() -> None:
    shares = torch.zeros(1, 32, 1, 1)
    shares[0, [0, 31]] = 0.5  # hues 1/64 and 63/64: red from both sides
    chroma = torch.zeros(1, 32, 1, 1)
    chroma[0, [10, 20]] = 0.5
    hue, faded = expected_hue_chroma(shares, chroma)[0, :, 0, 0]
    assert min(hue, 1 - hue) < 1e-4
    torch.testing.assert_close(faded, torch.tensor(15.5 / 32))  # their resultant, 0.995, is above the threshold


def test_chroma_fades_where_hues_cancel_out() -> None:
    shares = torch.zeros(1, 32, 1, 1)
    shares[0, [4, 20]] = torch.tensor([0.75, 0.25])[:, None, None]  # opposite: half of the length is left
    chroma = torch.zeros(1, 32, 1, 1)
    chroma[0, 31] = 1.0
    hue, faded = expected_hue_chroma(shares, chroma)[0, :, 0, 0]
    torch.testing.assert_close(hue, torch.tensor(4.5 / 32))
    torch.testing.assert_close(faded, torch.tensor(31.5 / 32 * 0.5 / 0.96))
