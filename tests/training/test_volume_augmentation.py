"""Random variants of patches: geometry against references, labels, HU, repeatability."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from nephro_monai.training.volume_augmentation import (
    VolumeAppearance,
    VolumeAugmentation,
    VolumeDeformation,
    _blurred,
)

STILL = VolumeDeformation((0.0, 0.0, 0.0), 0.0, 0.0, (0.0, 0.0, 0.0), mirror=False)
PLAIN = VolumeAppearance(share=0.0)
WINDOW = (-100.0, 300.0)


def smooth_patches(batch: int = 4, shape: tuple[int, int, int] = (24, 20, 16)) -> torch.Tensor:
    noise = torch.randn(batch, 1, *shape, generator=torch.Generator().manual_seed(0)).numpy()
    return torch.from_numpy(ndimage.gaussian_filter(noise, (0, 0, 3, 3, 3))) * 3000 + 100


def test_without_ranges_it_is_the_windowed_middle() -> None:
    hu = smooth_patches().round().to(torch.int16)
    label = (hu > 100).to(torch.uint8)
    image, moved = VolumeAugmentation((16, 16, 8), WINDOW, STILL, PLAIN)(hu, label)
    middle = (slice(None), slice(None), slice(4, 20), slice(2, 18), slice(4, 12))
    expected = (hu[middle].float().clamp(*WINDOW) + 100) / 200 - 1
    torch.testing.assert_close(image, expected, atol=1e-4, rtol=0)
    assert moved.dtype == torch.uint8 and torch.equal(moved, label[middle])


def test_mirror_exchanges_left_and_right() -> None:
    hu = smooth_patches(8)
    torch.manual_seed(1)
    mirrored = VolumeDeformation((0.0, 0.0, 0.0), 0.0, 0.0, (0.0, 0.0, 0.0), mirror=True)
    image, _ = VolumeAugmentation((24, 20, 16), WINDOW, mirrored, PLAIN)(hu, hu > 0)
    plain = (hu.clamp(*WINDOW) + 100) / 200 - 1
    as_it_was = [bool(torch.allclose(a, b, atol=1e-3)) for a, b in zip(image, plain, strict=True)]
    flipped = [bool(torch.allclose(a, b, atol=1e-3)) for a, b in zip(image, plain.flip(2), strict=True)]
    assert any(as_it_was) and any(flipped)
    assert all(a != b for a, b in zip(as_it_was, flipped, strict=True))


def test_flat_patches_are_one_slice_repeated() -> None:
    hu = smooth_patches(40)
    torch.manual_seed(3)
    deformation = VolumeDeformation((0.0, 0.0, 0.0), 0.0, 0.0, (0.0, 0.0, 0.0), mirror=False, flat_share=0.4)
    image, label = VolumeAugmentation((24, 20, 16), WINDOW, deformation, PLAIN)(hu, (hu > 100).to(torch.uint8))
    plain = (hu.clamp(*WINDOW) + 100) / 200 - 1
    flat = [bool((patch == patch[..., :1]).all()) for patch in image]
    assert 8 <= sum(flat) <= 24
    for k in range(len(hu)):
        if flat[k]:
            distance = (plain[k] - image[k, ..., :1]).abs().amax((0, 1, 2))
            z = int(distance.argmin())
            assert distance[z] < 1e-3, "the slice is one of the patch's own"
            assert torch.equal(label[k], (hu[k, ..., z : z + 1] > 100).to(torch.uint8).expand_as(label[k]))
        else:
            torch.testing.assert_close(image[k], plain[k], atol=1e-3, rtol=0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_rotates_about_one_axis_as_scipy_does(axis: int) -> None:
    hu = smooth_patches(1, (21, 21, 21))
    limits = [0.0, 0.0, 0.0]
    limits[axis] = 20.0
    deformation = VolumeDeformation((limits[0], limits[1], limits[2]), 0.0, 0.0, (0.0, 0.0, 0.0), mirror=False)
    augmentation = VolumeAugmentation((9, 9, 9), WINDOW, deformation, PLAIN)
    torch.manual_seed(2)
    matrix = augmentation._matrices(1, hu.device)[0].double().numpy()
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(matrix[axis], np.eye(3)[axis], atol=1e-6)
    cosine = (np.trace(matrix) - 1) / 2
    assert np.cos(np.radians(20)) <= cosine < np.cos(np.radians(1))
    torch.manual_seed(2)
    torch.rand((1, 1, 3))  # the shift is drawn first
    matrix = augmentation._matrices(1, hu.device)[0].double().numpy()
    torch.manual_seed(2)
    image, _ = augmentation(hu, hu > 0)
    turned = ndimage.affine_transform(
        hu[0, 0].numpy(), matrix, offset=10 - matrix @ [4, 4, 4], output_shape=(9, 9, 9), order=1
    )
    expected = (torch.from_numpy(turned).clamp(*WINDOW) + 100) / 200 - 1
    torch.testing.assert_close(image[0, 0], expected.float(), atol=1e-3, rtol=0)


def test_labels_move_with_the_image() -> None:
    hu = torch.full((6, 1, 40, 40, 24), -100.0)
    hu[:, :, 12:28, 14:25, 8:18] = 300.0
    torch.manual_seed(3)
    image, label = VolumeAugmentation((32, 32, 16), WINDOW, appearance=PLAIN)(hu, (hu > 0).to(torch.uint8))
    inside = image > 0
    assert (inside == label.bool()).float().mean() > 0.98
    volumes = label.sum((1, 2, 3, 4)).float()
    assert volumes.max() / volumes.min() > 1.05, "sizes vary"


def test_blur_is_a_gaussian() -> None:
    hu = smooth_patches(2)
    blurred = _blurred(hu, torch.tensor([0.8, 0.4]))
    for k, sigma in enumerate((0.8, 0.4)):
        expected = ndimage.gaussian_filter(hu[k, 0].numpy(), (sigma, sigma, sigma / 2), mode="nearest", radius=2)
        torch.testing.assert_close(blurred[k, 0], torch.from_numpy(expected), atol=1e-2, rtol=1e-3)


def test_noise_has_the_drawn_size_and_share() -> None:
    torch.manual_seed(4)
    look = VolumeAppearance(share=1.0, blur_voxels=(0.3, 0.3), noise_hu=(20.0, 20.0), gain=0.0, offset_hu=0.0)
    image, _ = VolumeAugmentation((24, 24, 24), (-200.0, 200.0), STILL, look)(
        torch.zeros(12, 1, 24, 24, 24), torch.zeros(12, 1, 24, 24, 24)
    )
    spread = image.std((1, 2, 3, 4)) * 200
    assert spread.min() > 16 and spread.max() < 24
    look = VolumeAppearance(share=0.4, noise_hu=(20.0, 20.0), gain=0.0, offset_hu=0.0)
    image, _ = VolumeAugmentation((4, 4, 4), (-200.0, 200.0), STILL, look)(
        torch.zeros(800, 1, 4, 4, 4), torch.zeros(800, 1, 4, 4, 4)
    )
    assert 0.33 < float((image.std((1, 2, 3, 4)) > 1e-4).float().mean()) < 0.47


def test_the_seed_decides() -> None:
    hu = smooth_patches()
    augmentation = VolumeAugmentation((16, 16, 8), WINDOW)
    drawn = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        drawn.append(augmentation(hu, hu > 0)[0])
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
