"""Kidneys and tumors of a case."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nephro_monai.transforms import MeasureKidneysd


def test_lists_kidneys_and_tumors(measured_case):
    case = MeasureKidneysd()(measured_case)
    assert "tumors" not in measured_case
    right, left = case["kidney_findings"]
    assert (right.side, left.side) == ("right", "left")
    assert left.volume_ml == pytest.approx(4 / 3 * np.pi * 28 * 28 * 50 / 1000, rel=0.03)
    large, small = case["tumors"]
    assert (large.index, small.index) == (1, 2)
    np.testing.assert_allclose(large.center_mm, (80, 0, 100), atol=1)
    assert large.volume_ml == pytest.approx(4 / 3 * np.pi * 18**3 / 1000, rel=0.05)
    assert large.largest_diameter_mm == pytest.approx(36, abs=3)
    assert {large.side, small.side} == {"right"}


def test_sides_follow_a_body_that_lies_off_center(measured_case):
    case = dict(measured_case)
    for key, fill in (("image", -1000.0), ("segmentation", 0)):
        moved = torch.roll(case[key], -25, dims=1)
        moved[:, -25:] = fill
        case[key] = moved
    case["segmentation"][:, :55] = 0  # only the right kidney is left, now left of the picture's middle
    (kidney,) = MeasureKidneysd()(case)["kidney_findings"]
    assert kidney.center_mm[0] < 20
    assert kidney.side == "right"


def test_nothing_outlined(measured_case):
    measured_case["segmentation"] = torch.zeros_like(measured_case["segmentation"])
    case = MeasureKidneysd()(measured_case)
    assert (case["kidney_findings"], case["tumors"]) == ([], [])


def test_wrong_use(measured_case):
    with pytest.raises(ValueError, match="one label map"):
        MeasureKidneysd(keys=("a", "b"))
    with pytest.raises(ValueError, match="negative"):
        MeasureKidneysd(min_tumor_ml=-1)
    measured_case["segmentation"] = measured_case["segmentation"][:, :-1]
    with pytest.raises(ValueError, match="one shape"):
        MeasureKidneysd()(measured_case)
