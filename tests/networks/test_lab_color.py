"""Lab conversions against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import lab2rgb, rgb2lab

from nephro_monai.networks.lab_color import ab_bin_centers, lab_to_rgb, rgb_to_lab


def _last(image: torch.Tensor) -> np.ndarray:
    return image[0].permute(1, 2, 0).numpy()


@pytest.fixture
def rgb() -> torch.Tensor:
    return torch.rand((1, 3, 40, 50), generator=torch.Generator().manual_seed(0))


def test_rgb_to_lab_is_scikit_images(rgb: torch.Tensor) -> None:
    np.testing.assert_allclose(_last(rgb_to_lab(rgb)), rgb2lab(_last(rgb)), atol=2e-3)  # Lab spans a hundred units
    dark = rgb * 0.05
    np.testing.assert_allclose(_last(rgb_to_lab(dark)), rgb2lab(_last(dark)), atol=2e-3)


@pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB")
def test_lab_to_rgb_is_scikit_images() -> None:
    generator = torch.Generator().manual_seed(1)
    lab = torch.rand((1, 3, 60, 60), generator=generator) * torch.tensor([100.0, 200.0, 200.0])[:, None, None]
    lab[:, 1:] -= 100.0
    np.testing.assert_allclose(_last(lab_to_rgb(lab)), lab2rgb(_last(lab)), atol=1e-4)


def test_round_trip(rgb: torch.Tensor) -> None:
    torch.testing.assert_close(lab_to_rgb(rgb_to_lab(rgb)), rgb, atol=1e-4, rtol=0)


def test_gray_has_no_color() -> None:
    gray = torch.linspace(0, 1, 64).reshape(1, 1, 8, 8).expand(-1, 3, -1, -1)
    lab = rgb_to_lab(gray)
    assert lab[:, 1:].abs().max() < 0.02
    assert lab[0, 0, 0, 0] == pytest.approx(0, abs=1e-4)
    assert lab[0, 0, -1, -1] == pytest.approx(100, abs=1e-3)


def test_autocast_does_not_coarsen(rgb: torch.Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        inside = lab_to_rgb(rgb_to_lab(rgb))
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, rgb, atol=1e-4, rtol=0)


def test_bin_centers_cover_the_gamut() -> None:
    centers = ab_bin_centers(313)
    assert centers.shape == (313, 2)
    assert len(torch.unique(centers, dim=0)) == 313
    assert set((centers % 10).unique().tolist()) == {0.0}
    corners = torch.tensor([[float(r), float(g), float(b)] for r in (0, 1) for g in (0, 1) for b in (0, 1)])
    ab = rgb_to_lab(corners[:, :, None, None])[:, 1:, 0, 0]
    assert torch.cdist(ab, centers).amin(1).max() <= 50**0.5 + 1e-3  # never further than half a grid diagonal


@pytest.mark.parametrize("bins", [1, 530])
def test_bin_counts_out_of_range_are_refused(bins: int) -> None:
    with pytest.raises(ValueError, match=str(bins)):
        ab_bin_centers(bins)
