from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from nephro_monai.phantom import AcquisitionRanges
from nephro_monai.phantom.synthesis_acquisition import _along, acquire_batch, gaussian_matrices, slice_matrices

SPACING = (2.0, 2.0, 3.0)
CLEAN = AcquisitionRanges(
    blur_mm=(0.01, 0.01), thick_share=0.0, slice_overlap=(0.0, 0.0), noise_hu=(0.01, 0.01), gain=0.0, offset_hu=0.0,
    streak_share=0.0,
)  # fmt: skip


def volumes(batch: int = 3) -> torch.Tensor:
    return 100 * torch.randn(batch, 20, 18, 24, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_blur_is_scipys_gaussian(axis: int) -> None:
    hu, sigmas = volumes(), torch.tensor([0.4, 0.9, 1.6])
    blurred = _along(hu, gaussian_matrices(hu.shape[1 + axis], sigmas), axis)
    inner = tuple(slice(7, -7) if k == axis else slice(None) for k in range(3))
    for b, sigma in enumerate(sigmas.tolist()):
        expected = ndimage.gaussian_filter1d(hu[b].numpy(), sigma, axis=axis, truncate=7)
        np.testing.assert_allclose(blurred[b][inner].numpy(), expected[inner], atol=1e-2)


def test_slices_of_a_voxel_change_nothing() -> None:
    hu = volumes()
    average, back = slice_matrices(24, torch.tensor([0.3, 1.0, 1.0]), torch.zeros(3), torch.rand(3))
    torch.testing.assert_close(_along(_along(hu, average, 2), back, 2), hu)


def test_thick_slices_are_means_and_lines_between_them() -> None:
    average, back = slice_matrices(12, torch.tensor([3.0]), torch.zeros(1), torch.zeros(1))
    line = torch.arange(12.0).square()
    slices = average[0] @ line
    torch.testing.assert_close(slices[:4], line.reshape(4, 3).mean(1))
    assert (slices[4:] == 0).all()
    expected = np.interp(np.arange(12) + 0.5, np.arange(4) * 3 + 1.5, slices[:4].numpy())
    np.testing.assert_allclose((back[0] @ slices).numpy(), expected, rtol=1e-5)


def test_rows_sum_to_one_whatever_is_drawn() -> None:
    torch.manual_seed(1)
    average, back = slice_matrices(17, 0.3 + 4 * torch.rand(50), 0.22 * torch.rand(50), torch.rand(50))
    both = torch.bmm(back, average).sum(2)
    torch.testing.assert_close(both, torch.ones(50, 17))


def test_without_ranges_nothing_changes() -> None:
    torch.manual_seed(2)
    flat = torch.full((2, 16, 16, 16), 40.0)
    torch.testing.assert_close(acquire_batch(flat, SPACING, CLEAN), flat, atol=0.1, rtol=0)


def test_noise_gain_and_offset_have_the_drawn_size() -> None:
    torch.manual_seed(3)
    flat = torch.full((40, 16, 16, 16), 100.0)
    noisy = acquire_batch(flat, SPACING, replace(CLEAN, noise_hu=(20.0, 20.0)))
    spread = noisy.std((1, 2, 3))
    assert spread.min() > 10 and spread.max() < 21, "overlapping slices and interpolation only lessen it"
    shifted = acquire_batch(flat, SPACING, replace(CLEAN, gain=0.06, offset_hu=8.0)).mean((1, 2, 3))
    assert shifted.min() > 85 and shifted.max() < 115 and shifted.std() > 2
    air = acquire_batch(torch.full((4, 16, 16, 16), -900.0), SPACING, replace(CLEAN, noise_hu=(20.0, 20.0)))
    assert air.std((1, 2, 3)).max() < 8


def test_streaks_run_from_left_to_right() -> None:
    torch.manual_seed(4)
    streaked = acquire_batch(
        torch.zeros(8, 24, 24, 24), SPACING, replace(CLEAN, streak_share=1.0, streak_hu=(10.0, 10.0))
    )
    along = streaked.diff(dim=1).abs().mean()
    across = streaked.diff(dim=2).abs().mean()
    assert across > 3 * along > 0


def test_hu_stay_what_a_scanner_can_hold() -> None:
    torch.manual_seed(5)
    hu = acquire_batch(torch.full((4, 8, 8, 8), -1000.0), SPACING, AcquisitionRanges())
    assert hu.min() >= -1024 and torch.isfinite(hu).all()
