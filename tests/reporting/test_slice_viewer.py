"""What the viewer embeds."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from nephro_monai.reporting import CaseView
from nephro_monai.reporting.outlines import SVG_UNITS_PER_PIXEL
from nephro_monai.reporting.slice_viewer import STORED_WINDOW_HU, build_viewer


@pytest.fixture(scope="module")
def view(make_case):
    return CaseView.from_case(make_case())


@pytest.fixture(scope="module")
def viewer(view):
    return build_viewer(view, wanted=[])


def test_every_slice_is_there_with_its_position(view, viewer):
    assert [entry["z"] for entry in viewer.slices] == list(range(40))
    assert [entry["n"] for entry in viewer.slices] == list(range(39, -1, -1))
    assert viewer.slices[7]["mm"] == -1000 + 7 * 5


def test_air_around_the_body_is_left_out(view, viewer):
    left, top, width, height = (int(n) // SVG_UNITS_PER_PIXEL for n in viewer.view_box.split())
    assert (viewer.width, viewer.height) == (width, height)
    body = np.stack([view.axial(z)[0] > -300 for z in range(40)]).any(0)
    rows, columns = np.nonzero(body)
    assert 0 <= rows.min() - top <= 12
    assert 0 <= columns.min() - left <= 12
    assert 0 <= top + height - 1 - rows.max() <= 12
    assert 0 <= left + width - 1 - columns.max() <= 12


def test_a_scan_of_air_is_shown_whole(view):
    air = CaseView(**{**vars(view), "image": view.image * 0 - 1000, "labels": view.labels * 0, "tumors": ()})
    viewer = build_viewer(air, [])
    assert (viewer.width, viewer.height) == (96, 80)


def test_pictures_show_the_slice(view, viewer):
    picture = Image.open(io.BytesIO(base64.b64decode(viewer.slices[20]["img"])))
    low, high = STORED_WINDOW_HU
    shown = np.asarray(picture, float) / 255 * (high - low) + low
    left, top, width, height = (int(n) // SVG_UNITS_PER_PIXEL for n in viewer.view_box.split())
    expected = view.axial(20)[0][top : top + height, left : left + width].clip(low, high)
    assert np.abs(shown - expected).mean() < 15


def test_outlines_enclose_the_labels(view, viewer):
    entry = viewer.slices[22]
    _, labels = view.axial(22)
    canvas = Image.new("1", (96 * SVG_UNITS_PER_PIXEL, 80 * SVG_UNITS_PER_PIXEL))
    for part in filter(None, entry["t"].split("M")):
        start, steps = part.rstrip("z").split("l")
        corners = np.vstack([np.array(start.split(), int)[None], np.array(steps.split(), int).reshape(-1, 2)]).cumsum(0)
        ImageDraw.Draw(canvas).polygon([tuple(c) for c in corners.tolist()], fill=1)
    inside = np.asarray(canvas)[1::2, 1::2]
    assert (inside == (labels == 2)).mean() > 0.995
    assert entry["k"]


def test_it_opens_at_the_tumor_and_finds_the_nearest_slice(view, viewer):
    box = view.tumors[0].box
    assert viewer.slices[viewer.start]["z"] == (box.zmin + box.zmax) // 2
    assert viewer.nearest(1000) == 39
    (name,) = viewer.tumors
    left, top, width, height = (int(n) / SVG_UNITS_PER_PIXEL for n in viewer.view_box.split())
    assert name["name"] == "T1"
    assert left + name["x"] / 100 * width == pytest.approx(96 - box.xmin, abs=0.1)
    assert top + name["y"] / 100 * height == pytest.approx(80 - box.ymax, abs=0.1)


def test_zones_cover_the_labeled_share(view, viewer):
    marked, tumor = view.marked_slices()
    assert sum(length for _, length in viewer.zones["kidney"]) == pytest.approx(100 * len(marked) / 40)
    assert sum(length for _, length in viewer.zones["tumor"]) == pytest.approx(100 * len(tumor) / 40)


def test_long_scans_stay_small(make_case):
    view = CaseView.from_case(make_case(shape=(40, 40, 300), spacing_mm=(9.0, 9.0, 0.7)))
    wanted = [vote.slice_index for vote in view.votes[::3]]
    viewer = build_viewer(view, wanted)
    assert len(viewer.slices) <= 120
    assert viewer.scan_slices == 300
    assert set(wanted) <= {entry["z"] for entry in viewer.slices}


def test_noise_lowers_the_quality_instead_of_raising_the_size(view, monkeypatch):
    whole = sum(len(entry["img"]) for entry in build_viewer(view, []).slices)
    monkeypatch.setattr("nephro_monai.reporting.slice_viewer._PICTURE_BYTES", whole // 2)
    assert sum(len(entry["img"]) for entry in build_viewer(view, []).slices) < whole


def test_without_kidneys_it_opens_in_the_middle(make_case):
    viewer = build_viewer(CaseView.from_case(make_case(sides=(), tumor=False)), [])
    assert viewer.start == 20
    assert viewer.zones == {"kidney": [], "tumor": []}
