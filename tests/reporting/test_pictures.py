"""Windows, sizes, JPEG and the choice of slices."""

from __future__ import annotations

import base64
import io

import numpy as np
from matplotlib import colormaps
from PIL import Image

from nephro_monai.reporting.pictures import (
    choose_slices,
    fitted_size,
    jpeg,
    jpeg_data_uri,
    overlay_map,
    spread,
    window_to_gray,
)


def test_window_to_gray():
    gray = window_to_gray(np.array([-1000.0, -140.0, 60.0, 260.0, 3000.0]), (-140.0, 260.0))
    assert gray.dtype == np.uint8
    assert gray.tolist() == [0, 0, 128, 255, 255]


def test_fitted_size_has_square_pixels_and_a_limit():
    assert fitted_size((512, 512), (0.8, 0.8), 384) == (384, 384)
    assert fitted_size((100, 120), (3.0, 3.0), 384) == (120, 100)
    assert fitted_size((512, 796), (0.8, 0.8), 384) == (384, 247)
    assert fitted_size((100, 100), (1.0, 0.5), 384) == (100, 200)


def test_jpeg_keeps_gray_and_color():
    gray = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    uri = jpeg_data_uri(jpeg(gray, (32, 16), 90))
    picture = Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))))
    assert picture.size == (32, 16)
    assert np.abs(np.asarray(picture, int)[8] - np.arange(3, 256, 8)).max() < 8
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 200
    assert np.asarray(Image.open(io.BytesIO(jpeg(red))))[4, 4, 0] > 190


def test_spread_keeps_both_ends():
    assert spread(range(5), 8) == [0, 1, 2, 3, 4]
    assert spread([9, 1, 5, 3, 7], 3) == [1, 5, 9]
    assert spread(range(10), 0) == []


def test_short_scans_are_shown_whole():
    assert choose_slices(100, range(20, 40)) == list(range(100))


def test_long_scans_are_fine_at_the_kidneys_and_coarse_elsewhere():
    wanted = [501, 507]
    chosen = choose_slices(1059, range(400, 700), wanted, maximum=120)
    assert len(chosen) == 120
    assert chosen == sorted(set(chosen))
    assert set(wanted) <= set(chosen)
    assert (chosen[0], chosen[-1]) == (0, 1058)
    assert sum(400 <= z < 700 for z in chosen) == 96


def test_few_marked_slices_are_all_shown():
    chosen = choose_slices(600, range(300, 340), maximum=120)
    assert set(range(300, 340)) <= set(chosen)
    assert len(chosen) == 120
    assert len(choose_slices(600, [], maximum=120)) == 120


def test_overlay_map_leaves_the_gray_where_there_is_no_weight():
    gray = np.full((40, 40), 100, np.uint8)
    weights = np.zeros((4, 4))
    weights[0, 3] = 1.0
    picture = overlay_map(gray, weights, strength=0.7)
    assert picture.shape == (40, 40, 3) and picture.dtype == np.uint8
    assert (picture[20:, :20] == 100).all()
    top = np.array(colormaps["inferno"](1.0)[:3]) * 255
    np.testing.assert_allclose(picture[0, 39], 0.3 * 100 + 0.7 * top, atol=1)
