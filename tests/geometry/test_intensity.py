from __future__ import annotations

import pytest
import torch
from monai.transforms import ScaleIntensityRange

from nephro_monai.geometry import window_to_unit


def test_window_bounds_and_center():
    hu = torch.tensor([-1024.0, -160.0, 90.0, 340.0, 3071.0])
    torch.testing.assert_close(window_to_unit(hu, (-160, 340)), torch.tensor([-1.0, -1.0, 0.0, 1.0, 1.0]))
    torch.testing.assert_close(window_to_unit(hu, (-160, 340), 0, 1), torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]))


def test_equals_monais_scaling_and_leaves_the_input_alone():
    hu = 400 * torch.randn(3, 4, 5)
    before = hu.clone()
    expected = ScaleIntensityRange(-60, 300, -1, 1, clip=True)(hu.clone())
    torch.testing.assert_close(window_to_unit(hu, (-60, 300)), torch.as_tensor(expected), rtol=0, atol=1e-6)
    assert torch.equal(hu, before)


def test_integers_become_float32_and_floats_keep_their_type():
    assert window_to_unit(torch.tensor([0], dtype=torch.int16), (-1, 1)).dtype == torch.float32
    assert window_to_unit(torch.tensor([0.0], dtype=torch.float64), (-1, 1)).dtype == torch.float64


@pytest.mark.parametrize("window", [(300, -60), (0, 0)])
def test_inverted_windows_are_refused(window):
    with pytest.raises(ValueError, match="lower bound below its upper"):
        window_to_unit(torch.zeros(1), window)
