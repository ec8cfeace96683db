"""Each colorizer's loss against its formula."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from nephro_monai.networks.colorization_cic import ColorfulColorizer
from nephro_monai.networks.colorization_lrac import HypercolumnColorizer
from nephro_monai.networks.colorization_ltbc import LetThereBeColor
from nephro_monai.networks.lab_color import rgb_to_lab
from nephro_monai.training.color_objectives import (
    HueChromaHistograms,
    QuantizedColors,
    RegressedColors,
    color_objective,
)
from nephro_monai.training.color_table import ColorTable

GROUPS = {"bright": {"ab": [40, 40], "tissues": [1]}, "dark": {"ab": [40, -50], "tissues": [2]}}
FRACTIONS = [0.5, 0.25, 0.25] + [0.0] * 253


@pytest.fixture
def table() -> ColorTable:
    return ColorTable(GROUPS)


def _maps(size: int = 32) -> torch.Tensor:
    return functional.one_hot(torch.randint(0, 3, (2, size, size)), 3).permute(0, 3, 1, 2).float()


def test_quantized_colors_are_zhangs_cross_entropy(table: ColorTable) -> None:
    objective = QuantizedColors(ColorfulColorizer(width=2, bins=60), table, FRACTIONS)
    logits, shares = torch.randn(2, 60, 4, 4), _maps(4)
    target = torch.einsum("bghw,gq->bqhw", shares, objective.encoding)
    weight = torch.einsum("bghw,g->bhw", shares, objective.group_weights)
    per_pixel = functional.cross_entropy(logits, target, reduction="none")
    torch.testing.assert_close(objective.cross_entropy(logits, shares), (per_pixel * weight).mean())


def test_regressed_colors_are_squared_errors_and_a_little_classification(table: ColorTable) -> None:
    torch.manual_seed(0)
    network = LetThereBeColor(width=2, classes=3, global_size=32).eval()
    gray, maps = torch.rand(2, 1, 32, 32), _maps()
    maps[:, 2] = 0.0  # nothing dark
    colors, scores = network.chrominance(gray)
    ab = functional.avg_pool2d(40.0 * maps[:, 1:2], 2).expand(-1, 2, -1, -1)
    regression = (colors - (ab + 100.0) / 200.0).square().mean()
    shown = torch.tensor([[1.0, 1.0, 0.0]]).expand(2, -1)
    expected = regression + functional.binary_cross_entropy_with_logits(scores, shown) / 300.0
    torch.testing.assert_close(RegressedColors(network, table)(gray, maps), expected)


def test_a_wrong_number_of_side_classes_is_refused(table: ColorTable) -> None:
    with pytest.raises(ValueError, match="5 classes apart, the color table has 3 groups"):
        RegressedColors(LetThereBeColor(width=2, classes=5, global_size=32), table)


def test_divergence_is_zero_at_the_targets_and_weighted_by_chroma(table: ColorTable) -> None:
    objective = HueChromaHistograms(HypercolumnColorizer(width=1, bins=4), table)
    hue_chroma = torch.tensor([0.9, 0.6])[None, :, None, None].expand(1, 2, 16, 1)
    lightness = torch.tensor([[0.1]])
    right_hue = torch.tensor([-50.0, -50.0, -50.0, 50.0])[None, :, None]
    right_chroma = torch.tensor([-50.0, -50.0, 50.0, -50.0])[None, :, None]
    flat = torch.zeros(1, 4, 1)
    assert objective.divergence(right_hue, right_chroma, hue_chroma, lightness) == pytest.approx(0.0, abs=1e-6)
    log4 = torch.log(torch.tensor(4.0))  # the divergence of one certain bin of four from none known
    torch.testing.assert_close(objective.divergence(flat, right_chroma, hue_chroma, lightness), 5.0 * 0.6 * log4)
    torch.testing.assert_close(objective.divergence(right_hue, flat, hue_chroma, lightness), 3.0 * 0.1 * log4)


def test_targets_are_the_tissue_colors_at_the_slices_lightness(table: ColorTable) -> None:
    objective = HueChromaHistograms(HypercolumnColorizer(width=1), table)
    gray = torch.full((1, 1, 32, 32), 0.6)
    maps = torch.zeros(1, 3, 32, 32)
    maps[:, 1, :, :16], maps[:, 0, :, 16:] = 1.0, 1.0
    hue_chroma, lightness = objective._targets(gray, maps, torch.tensor([[8 * 3, 8 * 3 + 7]]))
    assert hue_chroma.shape == (1, 2, 16, 2)
    torch.testing.assert_close(lightness, torch.full((1, 2), 0.6))
    assert hue_chroma[0, 1, :, 0].min() > 0.3 and hue_chroma[0, 1, :, 1].max() < 0.01
    # ab of the colored target, from the hue that skimage-tested conversions give back.
    level = rgb_to_lab(torch.full((1, 3, 1, 1), 0.6))[0, 0]
    assert level.item() == pytest.approx(63.2, abs=0.2)
    assert 0.0 < hue_chroma[0, 0, 0, 0] < 0.15  # (40, 40) in ab is orange


def test_each_network_has_its_papers_objective(table: ColorTable) -> None:
    networks = [
        ColorfulColorizer(width=1, bins=20), LetThereBeColor(width=2, classes=3, global_size=32),
        HypercolumnColorizer(width=1),
    ]  # fmt: skip
    found = [type(color_objective(network, table, FRACTIONS)) for network in networks]
    assert found == [QuantizedColors, RegressedColors, HueChromaHistograms]
    with pytest.raises(ValueError, match="No color objective belongs to Linear"):
        color_objective(torch.nn.Linear(1, 1), table, FRACTIONS)
