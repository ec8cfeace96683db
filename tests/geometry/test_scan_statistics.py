"""Statistics of scans against scans that were built to have them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nephro_monai.geometry.scan_statistics import measure_scan

AFFINE = np.diag([4.0, 4.0, 5.0, 1.0])


def _body(noise_hu: float = 12.0) -> np.ndarray:
    """76 x 76 of 100 x 100 pixels of 4 mm are body, a good third of it fat, the rest soft tissue, in 60 slices."""
    image = np.full((100, 100, 60), -1000, np.float32)
    image[12:88, 12:40], image[12:88, 40:88] = -100, 55
    return image + np.random.default_rng(0).normal(0, noise_hu, image.shape).astype(np.float32)


def test_grid_and_hu() -> None:
    found = measure_scan(torch.from_numpy(_body())[None], AFFINE)
    assert (found.slice_thickness_mm, found.pixel_mm, found.field_of_view_mm, found.length_mm) == (5, 4, 400, 300)
    assert found.darkest_hu == pytest.approx(-1000 - 1.98 * 12, abs=3)  # 2.4 % of the air
    assert found.soft_tissue_hu == pytest.approx(55, abs=5)


def test_a_plain_body_has_nothing_else() -> None:
    found = measure_scan(torch.from_numpy(_body())[None], AFFINE)
    others = (found.gas_share, found.bone_share, found.cut_off_share, found.parts_share, found.metal_ml)
    assert others == (0, 0, 0, 0, 0)


def test_shares_are_what_the_scan_holds() -> None:
    image = _body()
    image[20:50, 20:50] = -850  # gas within the body
    image[60:70, 60:70] = 900
    image[70:72, 70:72, 10:15] = 2500
    found = measure_scan(torch.from_numpy(image)[None], AFFINE)
    assert found.gas_share == pytest.approx(30 * 30 / 76**2, abs=0.005)
    assert found.bone_share == pytest.approx(100 / 76**2, abs=0.005)
    assert found.metal_ml == pytest.approx(2 * 2 * 5 * 4 * 4 * 5 / 1000)


def test_parts_beside_the_trunk_count_by_slices_and_size() -> None:
    image = _body()
    image[92:99, 20:60, :15] = 55  # an arm of 28 x 160 mm in a quarter of the slices
    image[2:6, 20:26] = 55  # 4 cm2 of something
    image[:, 90:92] = 0  # the shell of a table, 8 mm thick
    assert measure_scan(torch.from_numpy(image)[None], AFFINE).parts_share == pytest.approx(0.25)


def test_parts_are_told_apart_slice_by_slice() -> None:
    legs = np.full((100, 100, 60), -1000, np.float32)
    legs[20:80, 30:70] = 55
    legs[46:54, :, :30] = -1000  # two legs below the trunk
    assert measure_scan(torch.from_numpy(legs)[None], AFFINE).parts_share == pytest.approx(0.5)
    arm = _body()
    arm[92:99, 20:60] = 55
    arm[80:99, 20:60, 30] = 55  # joined to the trunk in one slice of 60
    assert measure_scan(torch.from_numpy(arm)[None], AFFINE).parts_share == pytest.approx(59 / 60)


def test_lungs_that_the_field_of_view_cuts_open_do_not_divide_the_body() -> None:
    image = np.full((80, 100, 60), -850, np.float32)
    image[:, :60], image[:, 70:90], image[:, 90:] = 55, 55, -1000
    found = measure_scan(torch.from_numpy(image)[None], AFFINE)
    assert found.parts_share == 0
    assert found.gas_share == pytest.approx(10 / 90, abs=0.001)


def test_a_small_part_is_none_however_long_it_is() -> None:
    image = _body()
    image[2:9, 20:27] = 55  # 7.8 cm2 in every slice
    assert measure_scan(torch.from_numpy(image)[None], AFFINE).parts_share == 0


def test_a_body_that_reaches_one_edge_is_cut_off_along_it() -> None:
    image = _body()[:, 12:]
    share = measure_scan(torch.from_numpy(image)[None], AFFINE).cut_off_share
    assert share == pytest.approx(76 / (2 * 100 + 2 * 88), abs=0.01)


def test_noisy_fat_of_a_stout_patient_is_no_soft_tissue() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(-85, 38, 80_000), rng.normal(50, 38, 20_000)]).astype(np.float32)
    image = torch.from_numpy(rng.permutation(values).reshape(1, 100, 100, 10))
    assert measure_scan(image, np.eye(4)).soft_tissue_hu == pytest.approx(50, abs=15)


def test_a_scan_of_air_has_no_body_to_measure() -> None:
    found = measure_scan(torch.full((1, 20, 20, 10), -1000.0), AFFINE)
    assert np.isnan(found.soft_tissue_hu)
    assert (found.gas_share, found.bone_share, found.parts_share) == (0, 0, 0)
