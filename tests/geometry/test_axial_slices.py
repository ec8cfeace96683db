from __future__ import annotations

import numpy as np
import pytest
import torch

from nephro_monai.geometry.axial_slices import kidney_windows, label_slices, paste_slices, scan_slices
from nephro_monai.structures import SliceGrid


def body(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> torch.Tensor:
    """An elliptic body of 300 x 200 mm in air."""
    x, y, _ = (torch.arange(n).float() for n in shape)
    x, y = (x - shape[0] / 2 + 0.5) * spacing[0], (y - shape[1] / 2 + 0.5) * spacing[1]
    inside = (x[:, None] / 150) ** 2 + (y[None] / 100) ** 2 < 1
    return torch.where(inside, 40.0, -1000.0)[..., None].expand(shape).clone()


def one_hot(labels: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.one_hot(labels.long(), 3).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("shape", [(96, 96, 6), (80, 124, 5), (64, 64, 4)])
def test_slices_have_one_size_and_are_pasted_back_exactly(shape):
    """Slices at the scan's own spacing: cut or padded to one grid and back is the identity on the body."""
    spacing = (3.2, 3.2, 4.0)
    volume = body(shape, spacing)
    hu, frame = scan_slices(volume, spacing, SliceGrid(4.0, 3.2, 96, 4.0))
    assert hu.shape == (shape[2], 96, 96)
    label = torch.zeros(shape, dtype=torch.uint8)
    label[30:40, 30:36, 1:3], label[36:38, 32:34, 1:2] = 1, 2
    slices = label_slices(label, spacing, SliceGrid(4.0, 3.2, 96, 4.0), frame)
    assert slices.shape == hu.shape and slices.dtype == torch.uint8
    back = torch.zeros(shape, dtype=torch.uint8)
    paste_slices(one_hot(slices), frame, (0, 0, 0), back)
    assert torch.equal(back, label)


def test_rows_run_to_posterior_and_columns_to_the_left():
    volume = body((100, 100, 4), (3.2, 3.2, 4.0))
    volume[20:24, 60:64, 0] = 500.0  # left of the middle (x runs to the right), anterior, inferior
    hu, _ = scan_slices(volume, (3.2, 3.2, 4.0), SliceGrid(4.0, 3.2, 96, 4.0))
    (_, row, column) = np.argwhere(hu.numpy() > 400).mean(axis=0)
    assert row < 48 < column
    assert (hu[0] > 400).any() and not (hu[1:] > 400).any()


def test_a_scan_of_512_by_796_keeps_its_shape_and_its_body():
    """The body lies off the middle of a long picture; it is cut around the body, and not squeezed."""
    spacing = (0.8, 0.8, 5.0)
    volume = torch.full((512, 796, 2), -1000.0)
    volume[:, 284:] = body((512, 512, 2), spacing)
    hu, frame = scan_slices(volume, spacing, SliceGrid(5.0, 1.6, 256, 5.0))
    inside = np.argwhere(hu[0].numpy() > -300)
    np.testing.assert_allclose(inside.mean(axis=0), (127.5, 127.5), atol=1)
    np.testing.assert_allclose(np.ptp(inside, axis=0) + 1, (200 / 1.6, 300 / 1.6), atol=2)
    assert frame.size == 256


def test_extreme_values_change_nothing_elsewhere():
    """A case once spanned -6986..18326 HU."""
    spacing, grid = (3.2, 3.2, 4.0), SliceGrid(4.0, 6.4, 48, 4.0)
    volume = body((96, 96, 4), spacing)
    volume[40:44, 40:44], volume[0:4, 0:4] = 18326.0, -6986.0
    hu, _ = scan_slices(volume, spacing, grid)
    clipped, _ = scan_slices(volume.clamp(-1024, 3071), spacing, grid)
    assert torch.equal(hu, clipped) and hu.min() >= -1024 and hu.max() <= 3071


@pytest.mark.parametrize("spacing", [(0.8, 0.8, 1.0), (1.7, 1.7, 5.0), (2.5, 1.5, 3.0)])
def test_labels_come_back_from_another_spacing(spacing):
    shape = tuple(round(n / s) for n, s in zip((200, 160, 60), spacing, strict=True))
    axes = [(np.arange(n) + 0.5) * s for n, s in zip(shape, spacing, strict=True)]
    distance = np.sqrt(sum((a - c) ** 2 for a, c in zip(np.meshgrid(*axes, indexing="ij"), (90, 70, 30), strict=True)))
    label = torch.from_numpy((distance < 25).astype(np.uint8) + (distance < 12))
    grid = SliceGrid(3.0, 1.6, 128, 3.0)
    volume = torch.where(torch.from_numpy(distance) < 75, 40.0, -1000.0).float()
    _, frame = scan_slices(volume, spacing, grid)
    slices = label_slices(label, spacing, grid, frame)
    back = torch.zeros(shape, dtype=torch.uint8)
    ks, rows, columns = (slice(int(a.min()) - 1, int(a.max()) + 2) for a in slices.nonzero(as_tuple=True))
    origin = (ks.start, rows.start, columns.start)
    paste_slices(one_hot(slices)[ks, :, rows, columns], frame, origin, back)
    for value, least in ((1, 0.95), (2, 0.9)):
        a, b = (back >= value).numpy(), (label >= value).numpy()
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) > least
        shift = (np.argwhere(a).mean(0) - np.argwhere(b).mean(0)) * spacing
        assert np.abs(shift).max() < 0.4  # mm: no half-voxel drift


def test_pasting_in_small_steps_is_the_same(monkeypatch):
    from nephro_monai.geometry import axial_slices as module

    volume = body((64, 64, 12), (5.0, 5.0, 2.0))
    grid = SliceGrid(4.0, 5.0, 64, 4.0)
    _, frame = scan_slices(volume, (5.0, 5.0, 2.0), grid)
    slices = torch.randint(0, 3, (6, 64, 64))
    whole, steps = (torch.zeros(64, 64, 12, dtype=torch.uint8) for _ in range(2))
    paste_slices(one_hot(slices), frame, (0, 0, 0), whole)
    monkeypatch.setattr(module, "_CHUNK_VALUES", 1)
    paste_slices(one_hot(slices), frame, (0, 0, 0), steps)
    assert torch.equal(whole, steps)


def test_a_part_beyond_the_scan_writes_nothing():
    _, frame = scan_slices(body((40, 40, 3), (4.0, 4.0, 4.0)), (4.0, 4.0, 4.0), SliceGrid(4.0, 4.0, 96, 4.0))
    label_map = torch.zeros(40, 40, 3, dtype=torch.uint8)
    paste_slices(one_hot(torch.ones(3, 8, 8)), frame, (0, 0, 0), label_map)
    assert not label_map.any()


def discs(*centers: tuple[int, int], radius: int = 20) -> np.ndarray:
    rows, columns = np.mgrid[:256, :256]
    sides = np.zeros((256, 256), np.uint8)
    for number, (row, column) in enumerate(centers, start=1):
        sides[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] = number
    return sides


def test_one_crop_where_it_holds_both_kidneys():
    assert kidney_windows(discs((100, 90), (100, 150)), 128) == [(100 - 64, 120 - 64)]


def test_one_crop_per_kidney_where_one_cannot_hold_both():
    assert kidney_windows(discs((100, 70), (110, 190)), 128) == [(36, 6), (46, 126)]


def test_crops_stay_inside_the_slice():
    assert kidney_windows(discs((10, 250)), 128) == [(0, 128)]
    assert kidney_windows(discs((100, 100)), 256) == [(0, 0)]


def test_a_lopsided_kidney_is_held_by_the_middle_of_its_box():
    sides = discs((128, 128), radius=30)
    sides[126:130, 128:225] = 1  # from column 98 to 224: 127 pixels
    ((_, left),) = kidney_windows(sides, 132)
    assert left <= 98 - 2 and left + 132 >= 225 + 2


def test_no_kidney_no_crop_and_crops_that_do_not_fit():
    assert kidney_windows(np.zeros((256, 256), np.uint8), 128) == []
    with pytest.raises(ValueError, match="do not fit"):
        kidney_windows(np.zeros((96, 128), np.uint8), 128)
