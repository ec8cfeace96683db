"""Random variants of slices: geometry, HU, repeatability."""

from __future__ import annotations

import torch

from nephro_monai.training.slice_augmentation import SliceAugmentation, center_crop

STILL = {
    "shift": 0.0, "rotation_degrees": 0.0, "scale": (1.0, 1.0), "sharpness": (0.0, 0.0),
    "gain_offset": (0.0, 0.0), "noise_hu": (1e-6, 1e-6),
}  # fmt: skip


def test_without_ranges_it_is_the_center_or_its_mirror() -> None:
    hu = torch.rand(6, 1, 20, 20) * 400 - 140
    torch.manual_seed(0)
    varied, _ = SliceAugmentation(size=12, **STILL)(hu)
    center = center_crop(hu, 12)
    mirrored = center.flip(3)
    kept = [bool(torch.allclose(a, b, atol=1e-2)) for a, b in zip(varied, center, strict=True)]
    flipped = [bool(torch.allclose(a, b, atol=1e-2)) for a, b in zip(varied, mirrored, strict=True)]
    assert all(a != b for a, b in zip(kept, flipped, strict=True))
    assert any(kept) and any(flipped)


def test_maps_move_with_the_image() -> None:
    hu = torch.full((8, 1, 40, 40), -100.0)
    hu[:, :, 10:25, 18:30] = 150.0
    torch.manual_seed(1)
    settings = {**STILL, "shift": 6.0, "rotation_degrees": 30.0, "scale": (0.8, 1.25)}
    varied, maps = SliceAugmentation(size=30, **settings)(hu, (hu + 100) / 250)
    assert maps is not None
    torch.testing.assert_close(varied, maps * 250 - 100, atol=1e-2, rtol=0)


def test_shift_stays_within_its_range() -> None:
    hu = torch.zeros(200, 1, 41, 41)
    hu[:, :, 20, 20] = 1000.0
    torch.manual_seed(2)
    varied, _ = SliceAugmentation(size=31, **{**STILL, "shift": 5.0})(hu)
    mass = varied[:, 0] / varied.sum((1, 2, 3))[:, None, None]
    position = torch.arange(31.0)
    rows, columns = (mass.sum(2) * position).sum(1) - 15, (mass.sum(1) * position).sum(1) - 15
    for offsets in (rows, columns):
        assert offsets.abs().max() <= 5.01
        assert offsets.std() > 2  # uniform over -5..5 has 2.9


def test_noise_has_the_drawn_size() -> None:
    torch.manual_seed(3)
    varied, _ = SliceAugmentation(size=60, **{**STILL, "noise_hu": (20.0, 20.0)})(torch.zeros(20, 1, 64, 64))
    spread = varied.std((1, 2, 3))
    assert spread.min() > 16 and spread.max() < 24  # white or correlated, the same size


def test_hu_stay_hu() -> None:
    torch.manual_seed(4)
    varied, _ = SliceAugmentation(size=60)(torch.full((100, 1, 80, 80), 100.0))
    means = varied.mean((1, 2, 3))
    assert means.min() > 100 * 0.96 - 6 - 3 and means.max() < 100 * 1.04 + 6 + 3
    assert means.std() > 1


def test_the_same_seed_gives_the_same_variant() -> None:
    hu = torch.rand(3, 1, 40, 40) * 400
    augmentation = SliceAugmentation(size=30)
    varied = []
    for _ in range(2):
        torch.manual_seed(5)
        varied.append(augmentation(hu)[0])
    assert torch.equal(*varied)
