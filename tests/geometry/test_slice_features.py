"""Features of simple tumors."""

from __future__ import annotations

import numpy as np
import pytest

from nephro_monai.geometry.slice_features import FEATURE_NAMES, slice_features

Y, X = np.mgrid[:64, :64]
DISC = (X - 31.5) ** 2 + (Y - 31.5) ** 2 < 15**2


def named(hu, mask=DISC, pixel_mm=1.0):
    return dict(zip(FEATURE_NAMES, slice_features(hu, mask, pixel_mm), strict=True))


def test_a_plain_disc():
    found = named(np.full((64, 64), 50.0), pixel_mm=0.5)
    assert found["mean_hu"] == found["median_hu"] == found["p10_hu"] == 50
    assert found["std_hu"] == found["entropy"] == found["contrast_1"] == found["fat_share"] == 0
    assert found["homogeneity_1"] == found["energy_3"] == pytest.approx(1)
    assert found["area_mm2"] == pytest.approx(np.pi * 7.5**2, rel=0.02)
    assert found["major_axis_mm"] == pytest.approx(15, rel=0.03) == found["minor_axis_mm"]
    assert found["circularity"] == pytest.approx(1, abs=0.08) and found["solidity"] > 0.95
    assert found["eccentricity"] < 0.1


def test_what_lies_outside_does_not_count():
    rng = np.random.default_rng(0)
    hu = 60 + 20 * rng.standard_normal((64, 64))
    # Local patterns look one pixel over the rim; all else is blind to it.
    other = np.where(DISC, hu, 900.0)
    for name, value in named(hu).items():
        if not name.startswith("pattern"):
            assert named(other)[name] == value, name


def test_texture_tells_stripes_from_noise_and_fine_from_coarse():
    fine = named(np.where((X // 1) % 2, 20.0, 120.0))
    coarse = named(np.where((X // 4) % 2, 20.0, 120.0))
    assert fine["contrast_1"] > 2 * coarse["contrast_1"]
    assert fine["std_hu"] == pytest.approx(coarse["std_hu"], rel=0.05)
    assert fine["correlation_1"] < coarse["correlation_1"]


def test_fat_and_skewness():
    hu = np.where((Y < 22) & DISC, -80.0, 60.0)
    found = named(hu)
    assert found["fat_share"] == pytest.approx((hu[DISC] < -20).mean())
    assert found["skewness"] < -1


def test_cooccurrence_by_hand():
    hu = np.full((5, 5), 0.0)
    hu[2, 1:4] = [-160.0, -160.0, 339.0]  # levels 0, 0, 15 of 16
    mask = np.zeros((5, 5))
    mask[2, 1:4] = 1
    found = named(hu, mask)
    # Two horizontal pairs, (0, 0) and (0, 15), each counted in both orders.
    assert found["contrast_1"] == pytest.approx(15**2 * 2 / 4)
    assert found["dissimilarity_1"] == pytest.approx(15 * 2 / 4)
    assert found["energy_1"] == pytest.approx(np.sqrt(0.5**2 + 2 * 0.25**2))
    assert found["contrast_3"] == 0, "no pair is that far apart"


def test_a_single_pixel_has_finite_features():
    mask = np.zeros((8, 8))
    mask[3, 4] = 1
    assert np.isfinite(slice_features(np.ones((8, 8)), mask)).all()


def test_an_empty_mask_is_refused():
    with pytest.raises(ValueError, match="0 pixels"):
        slice_features(np.zeros((8, 8)), np.zeros((8, 8)))
    with pytest.raises(ValueError, match="one shape"):
        slice_features(np.zeros((8, 8)), np.ones((8, 9)))
