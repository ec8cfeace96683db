"""Resampling against scipy and against plain averages."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from nephro_monai.geometry import resample_to_shape, resampled_shape, resampled_slices


def test_the_same_extent_at_another_spacing():
    assert resampled_shape((512, 512, 100), (0.75, 0.75, 3.0), (1.5, 1.5, 3.0)) == (256, 256, 100)
    assert resampled_shape((3,), (0.1,), (5.0,)) == (1,)
    with pytest.raises(ValueError, match="argument 2"):
        resampled_shape((3, 4), (1.0,), (1.0, 1.0))


def test_shrinking_averages_blocks():
    volume = torch.rand(1, 2, 8, 6, 9)
    shrunk = resample_to_shape(volume, (4, 3, 3))
    blocks = volume.reshape(1, 2, 4, 2, 3, 2, 3, 3).mean(dim=(3, 5, 7))
    torch.testing.assert_close(shrunk, blocks)


@pytest.mark.parametrize("shape", [(15,), (10, 14), (10, 14, 6)])
def test_growing_interpolates_linearly_over_the_same_field_of_view(shape):
    small = tuple(n // 2 for n in shape)
    array = np.random.default_rng(7).normal(size=small)
    grown = resample_to_shape(torch.from_numpy(array)[None, None], shape)[0, 0].numpy()
    centers = [(np.arange(n) + 0.5) * s / n - 0.5 for n, s in zip(shape, small, strict=True)]
    grid = np.meshgrid(*centers, indexing="ij")
    np.testing.assert_allclose(grown, ndimage.map_coordinates(array, grid, order=1, mode="nearest"), atol=1e-9)


def test_one_axis_may_shrink_while_another_grows():
    ramp = torch.linspace(0, 1, 8).expand(1, 1, 4, 8)
    changed = resample_to_shape(ramp, (8, 4))
    torch.testing.assert_close(changed[0, 0, 3], ramp[0, 0, 0].reshape(4, 2).mean(1))


def test_means_and_types_stay():
    volume = torch.rand(1, 1, 16, 16, 16, dtype=torch.float64)
    changed = resample_to_shape(volume, (8, 8, 8))
    assert changed.dtype == torch.float64
    torch.testing.assert_close(changed.mean(), volume.mean())
    assert resample_to_shape(volume, (16, 16, 16)) is volume


def test_a_wrong_number_of_axes_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        resample_to_shape(torch.zeros(1, 1, 4, 4), (2, 2, 2))


def test_resampled_slices_cover_the_part() -> None:
    assert resampled_slices((slice(2, 6), slice(0, 1)), (8, 8), (4, 2)) == (slice(1, 3), slice(0, 1))
    assert resampled_slices((slice(3, 5),), (8,), (16,)) == (slice(6, 10),)
    assert resampled_slices((slice(7, 8),), (8,), (3,)) == (slice(2, 3),)
