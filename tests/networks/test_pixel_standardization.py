from __future__ import annotations

import pytest
import torch

from nephro_monai.networks.pixel_standardization import PixelStandardization


def test_every_pixel_has_its_own_mean_and_deviation():
    torch.manual_seed(0)
    training = torch.randn(500, 1, 4, 6) * torch.rand(4, 6) * 100 + 50 + 100 * torch.randn(4, 6)
    layer = PixelStandardization(1, (4, 6), least_deviation_hu=1e-3)
    layer.set_statistics(training.mean(0), training.std(0, correction=0))
    found = layer(training)
    torch.testing.assert_close(found.mean(0), torch.zeros(1, 4, 6), atol=1e-3, rtol=0)
    torch.testing.assert_close(found.std(0, correction=0), torch.ones(1, 4, 6), atol=1e-3, rtol=0)


def test_extreme_values_are_clipped_and_constant_pixels_not_blown_up():
    layer = PixelStandardization(1, (2, 2), (-1024.0, 3071.0), least_deviation_hu=10.0)
    layer.set_statistics(torch.full((1, 2, 2), -1000.0), torch.zeros(1, 2, 2))
    extreme = torch.tensor([[[[-6986.0, 18326.0], [-1000.0, -990.0]]]])
    torch.testing.assert_close(layer(extreme), torch.tensor([[[[-2.4, 407.1], [0.0, 1.0]]]]))


def test_other_grids_are_named():
    layer = PixelStandardization(1, (8, 8))
    with pytest.raises(ValueError, match="8 x 8 pixels, the input has 8 x 9"):
        layer(torch.zeros(1, 1, 8, 9))
    with pytest.raises(ValueError, match="slice-statistics"):
        layer.set_statistics(torch.zeros(1, 8, 9), torch.ones(1, 8, 9))


@pytest.mark.parametrize("settings", [{"window_hu": (10.0, 10.0)}, {"least_deviation_hu": 0.0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ValueError, match="lower < upper"):
        PixelStandardization(1, (8, 8), **settings)
