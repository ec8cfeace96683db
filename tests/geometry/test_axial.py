"""Axial slices against nibabel's orientations."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import torch

from nephro_monai.geometry import axial_box_to_volume, axial_to_volume, volume_to_axial


def test_rows_run_to_posterior_and_columns_to_the_left():
    volume = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    change = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt("LPS"))
    turned = nib.orientations.apply_orientation(volume, change)  # x to left, y to posterior
    slices = volume_to_axial(torch.from_numpy(volume)[None])
    assert tuple(slices.shape) == (6, 1, 5, 4)
    for z in range(6):
        np.testing.assert_array_equal(slices[z, 0].numpy(), turned[:, :, z].T)


def test_there_and_back():
    volume = torch.rand(2, 4, 5, 6)
    assert torch.equal(axial_to_volume(volume_to_axial(volume)), volume)


def test_boxes_come_back_to_the_voxels_they_hold():
    volume = torch.zeros(1, 9, 8, 7)
    slices = volume_to_axial(volume).clone()
    slices[2:5, 0, 1:4, 3:8] = 1
    box = axial_box_to_volume((1, 4), (3, 8), (2, 5), (9, 8, 7))
    back = axial_to_volume(slices)[0]
    assert float(back[box.slices].min()) == 1
    assert int(back.sum()) == np.prod(box.shape)
