"""The figure of a case."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from nephro_monai.reporting import CaseView, draw_overview

_CYAN, _RED = (0x22, 0xD3, 0xEE), (0xFF, 0x4D, 0x4D)


def _pixels_like(picture: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((np.abs(picture.astype(int) - color).max(axis=-1) < 40).sum())


@pytest.mark.parametrize(
    ("settings", "kidney", "tumor"),
    [
        ({}, True, True),
        ({"sides": ("right",), "verdict": "benign"}, True, True),
        ({"tumor": False}, True, False),
        ({"tumor": False, "sides": ()}, False, False),
        ({"shape": (96, 80, 1)}, True, True),
    ],
)
def test_outlines_are_drawn_where_there_is_something(tmp_path, make_case, settings, kidney, tumor):
    path = tmp_path / "overview.png"
    draw_overview(CaseView.from_case(make_case(**settings)), path)
    picture = np.asarray(Image.open(path).convert("RGB"))
    assert picture.shape[1] == 1400
    assert 400 < picture.shape[0] < 1000
    assert (_pixels_like(picture, _CYAN) > 200) == kidney
    assert (_pixels_like(picture, _RED) > 50) == tumor


def test_uncolored_and_unclassified_slices_are_drawn(tmp_path, make_case):
    case = make_case()
    del case["colorized_slices"]
    draw_overview(CaseView.from_case(case), tmp_path / "gray.png")
    case["slice_votes"] = []
    case["tumor_slices"] = case["tumor_slices"][:0]
    draw_overview(CaseView.from_case(case), tmp_path / "none.png")
    heights = [Image.open(tmp_path / name).height for name in ("gray.png", "none.png")]
    assert heights[0] > heights[1]
