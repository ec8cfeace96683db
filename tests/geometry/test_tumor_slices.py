"""Crops against scipy's interpolation and known pictures."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch
from scipy import ndimage

from nephro_monai.geometry import (
    TumorCropSettings,
    find_tumors,
    sample_axial_crops,
    select_tumor_slices,
    tumor_slice_crops,
)


def _smooth(shape, seed=0):
    noise = np.random.default_rng(seed).normal(size=shape) * 300
    return ndimage.gaussian_filter(noise, (4, 4, 0)) * 8


def test_bilinear_crops_are_scipys_at_every_pixel():
    volume = _smooth((60, 50, 5))
    voxel_mm = (0.9, 1.3)
    centers = torch.tensor([[30.25, 22.5, 2.0], [3.0, 45.0, 4.0]], dtype=torch.float64)
    crops = sample_axial_crops(torch.from_numpy(volume)[None], centers, voxel_mm, 40, 0.8, -1024)
    for crop, (x, y, z) in zip(crops[:, 0].numpy(), centers.numpy(), strict=True):
        offset = (np.arange(40) - 19.5) * 0.8
        rows, columns = np.meshgrid(offset, offset, indexing="ij")
        points = np.stack([x - columns / voxel_mm[0], y - rows / voxel_mm[1]])
        padded = np.pad(volume[:, :, int(z)], 60, constant_values=-1024)
        reference = ndimage.map_coordinates(padded, points + 60, order=1)
        np.testing.assert_allclose(crop, reference, atol=0.05)


def test_large_pixels_average_small_voxels():
    generator = np.random.default_rng(9)
    volume = torch.from_numpy(generator.normal(0, 100, (300, 300, 1)).astype(np.float32))[None]
    center = torch.tensor([[149.5, 149.5, 0]], dtype=torch.float64)
    crop = sample_axial_crops(volume, center, (0.4, 0.4), 130, 0.8)
    reference = volume[0, 20:280, 20:280, 0].reshape(130, 2, 130, 2).mean((1, 3)).flip(0, 1).T
    torch.testing.assert_close(crop[0, 0], reference, atol=1e-2, rtol=0)
    assert float(crop.std()) == pytest.approx(50, rel=0.05)  # four samples in one: half the noise


def test_orientation_is_what_readers_expect():
    volume = torch.zeros(1, 80, 80, 3)
    volume[0, 60, 40, 1] = 100  # 20 voxels to the right: left of the picture
    volume[0, 40, 60, 1] = 200  # 20 voxels to the front: top of the picture
    crop = sample_axial_crops(volume, torch.tensor([[40.0, 40.0, 1.0]]), (1, 1), 61, 1.0, 0.0)[0, 0]
    assert float(crop[30, 10]) == pytest.approx(100, abs=1e-3)
    assert float(crop[10, 30]) == pytest.approx(200, abs=1e-3)


def _labeled(shape=(120, 110, 30), affine=None):
    affine = np.diag([0.7, 0.9, 3.0, 1.0]) if affine is None else affine
    labels = np.zeros(shape, np.uint8)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1) * np.array([0.7, 0.9, 3.0])
    labels[((grid - (30, 45, 40)) ** 2).sum(-1) < 18**2] = 2
    labels[((grid - (65, 70, 75)) ** 2).sum(-1) < 8**2] = 2
    image = _smooth(shape).astype(np.float32)
    return torch.from_numpy(image)[None], torch.from_numpy(labels)[None], affine


def test_slices_are_chosen_by_tumor_from_below_with_centroids_and_areas():
    _, labels, affine = _labeled()
    tumors = find_tumors(labels[0].numpy(), affine)
    slices = select_tumor_slices(tumors, affine, TumorCropSettings(min_area_mm2=100))
    assert [item.tumor for item in slices] == sorted(item.tumor for item in slices)
    for tumor in (1, 2):
        assert [i.z for i in slices if i.tumor == tumor] == sorted(i.z for i in slices if i.tumor == tumor)
    for item in slices:
        part = tumors.labels[..., item.z - tumors.box.zmin] == item.tumor
        assert item.area_mm2 == pytest.approx(part.sum() * 0.63)
        assert item.area_mm2 >= 100
        x, y = ndimage.center_of_mass(part)
        assert item.center_xy == pytest.approx((x + tumors.box.xmin, y + tumors.box.ymin))


def test_many_slices_are_thinned_evenly_and_the_largest_always_stays():
    _, labels, affine = _labeled()
    tumors = find_tumors(labels[0].numpy(), affine)
    zs = [
        i.z
        for i in select_tumor_slices(tumors, affine, TumorCropSettings(max_slices_per_tumor=4, min_area_mm2=0))
        if i.tumor == 1
    ]
    assert len(zs) == 4
    assert max(np.diff(zs)) - min(np.diff(zs)) <= 1
    one = select_tumor_slices(tumors, affine, TumorCropSettings(max_slices_per_tumor=1))
    assert abs(one[0].z - 40 / 3) <= 1
    huge = select_tumor_slices(tumors, affine, TumorCropSettings(min_area_mm2=1e6))
    assert [item.tumor for item in huge] == [1, 2]


def test_the_tumor_is_in_the_middle_of_its_crop():
    _, labels, affine = _labeled()
    crops, slices = tumor_slice_crops(labels.float() * 100, labels, affine)
    assert tuple(crops.shape) == (len(slices), 1, 130, 130)
    for crop, item in zip(crops[:, 0], slices, strict=True):
        if item.tumor == 1:
            inside = crop.clamp(0, 200) > 100
            center = ndimage.center_of_mass(inside.numpy())
            np.testing.assert_allclose(center, (64.5, 64.5), atol=0.6)
            assert float(inside.sum()) * 0.64 == pytest.approx(item.area_mm2, rel=0.05)


def test_regions_blank_what_they_should():
    image, labels, affine = _labeled()
    plain, slices = tumor_slice_crops(image, labels, affine)
    mask = tumor_slice_crops(labels.float(), labels, affine, TumorCropSettings(outside_hu=0))[0] >= 1
    roi = tumor_slice_crops(image, labels, affine, TumorCropSettings(region="roi"))[0]
    box = tumor_slice_crops(image, labels, affine, TumorCropSettings(region="box"))[0]
    for index, item in enumerate(slices):
        if item.tumor != 1:
            continue
        inside = mask[index, 0]
        assert torch.equal(roi[index, 0][inside], plain[index, 0][inside])
        assert bool((roi[index, 0][~inside] == -1024).all())
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        rectangle = torch.zeros_like(inside)
        rectangle[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
        assert torch.equal(box[index, 0], torch.where(rectangle, plain[index, 0], torch.tensor(-1024.0)))


def test_the_other_tumor_is_blanked_too():
    image, labels, affine = _labeled((120, 110, 30))
    labels[0, 60:66, 40:50, 12:16] = 2  # beside the first one, in its slices
    crops, slices = tumor_slice_crops(image, labels, affine, TumorCropSettings(region="roi", min_area_mm2=0))
    first = next(crop for crop, item in zip(crops, slices, strict=True) if item.tumor == 1 and item.z == 13)
    area = float((first > -1024).sum()) * 0.64
    assert area == pytest.approx(next(i.area_mm2 for i in slices if i.tumor == 1 and i.z == 13), rel=0.05)


def test_whole_slices_are_resized():
    image, labels, affine = _labeled((128, 128, 30))
    crops, slices = tumor_slice_crops(image, labels, affine, TumorCropSettings(region="slice", size=64))
    reference = image[0, :, :, slices[0].z].reshape(64, 2, 64, 2).mean((1, 3)).flip(0, 1).T
    assert tuple(crops.shape) == (len(slices), 1, 64, 64)
    assert np.corrcoef(crops[0, 0].numpy().ravel(), reference.numpy().ravel())[0, 1] > 0.99


def test_beyond_the_scan_is_air():
    image, labels, affine = torch.full((1, 60, 60, 8), 50.0), torch.zeros(1, 60, 60, 8, dtype=torch.uint8), np.eye(4)
    labels[0, 0:10, 20:30, 2:6] = 2
    crops, _ = tumor_slice_crops(image, labels, affine)
    assert float(crops[0, 0, 64, 125]) == -1024
    assert float(crops[0, 0, 64, 60]) == pytest.approx(50, abs=0.01)


def test_the_same_world_gives_the_same_crop_on_any_grid():
    """A finer in-plane grid of the same smooth field changes nothing that matters."""

    def field(spacing):
        count = round(96 / spacing)
        x, y = np.meshgrid(*[(np.arange(count) + 0.5) * spacing] * 2, indexing="ij")
        image = 100 * np.sin(x / 9) * np.cos(y / 11)
        label = ((x - 50) ** 2 + (y - 44) ** 2 < 15**2) * 2
        stack = [np.repeat(a[None, :, :, None], 6, 3) for a in (image, label)]
        return (
            torch.from_numpy(stack[0]),
            torch.from_numpy(stack[1].astype(np.uint8)),
            np.diag([spacing, spacing, 3, 1]),
        )

    coarse, fine = (tumor_slice_crops(*field(spacing), TumorCropSettings(size=60))[0] for spacing in (0.8, 0.4))
    assert float((coarse - fine).abs().mean()) < 3


def test_no_tumor_and_wrong_input():
    crops, slices = tumor_slice_crops(
        torch.zeros(1, 40, 40, 8), torch.zeros(1, 40, 40, 8, dtype=torch.uint8), np.eye(4)
    )
    assert (tuple(crops.shape), slices) == ((0, 1, 130, 130), [])
    with pytest.raises(ValueError, match="must both be"):
        tumor_slice_crops(torch.zeros(1, 4, 4, 4), torch.zeros(1, 4, 4, 5), np.eye(4))
    for wrong in ({"region": "all"}, {"size": 0}, {"spacing_mm": 0}, {"max_slices_per_tumor": 0}, {"min_tumor_ml": -1}):
        with pytest.raises(ValueError, match=r"must|one of"):
            TumorCropSettings(**wrong)


def test_axes_of_the_crop_against_nibabel():
    """The crop is the L-P-S slice around the center."""
    volume = np.random.default_rng(3).normal(size=(41, 41, 3))
    turned = nib.orientations.apply_orientation(
        volume,
        nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt("LPS")),
    )
    crop = sample_axial_crops(torch.from_numpy(volume)[None], torch.tensor([[20.0, 20.0, 1.0]]), (1, 1), 41, 1.0)
    np.testing.assert_allclose(crop[0, 0].numpy(), turned[:, :, 1].T, atol=1e-3)


def test_slices_near_the_poles_are_left_out():
    z, y, x = np.mgrid[:41, :60, :60]
    ball = ((z - 20) ** 2 + (y - 30) ** 2 + (x - 30) ** 2 <= 18.5**2).transpose(2, 1, 0).astype(np.uint8) * 2
    tumors = find_tumors(ball, np.eye(4))
    everything = select_tumor_slices(tumors, np.eye(4), TumorCropSettings(max_slices_per_tumor=99, min_area_share=0.0))
    chosen = select_tumor_slices(tumors, np.eye(4), TumorCropSettings(max_slices_per_tumor=99, min_area_share=0.3))
    largest = max(item.area_mm2 for item in everything)
    assert [item.z for item in chosen] == [item.z for item in everything if item.area_mm2 >= 0.3 * largest]
    assert len(chosen) < len(everything)
