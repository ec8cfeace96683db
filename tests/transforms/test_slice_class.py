"""Slices as benign, malignant or normal."""

from __future__ import annotations

import pytest
import torch

from nephro_monai.constants import SLICE_CLASS_NAMES
from nephro_monai.transforms import LabelSliceClassd


def _label(pixels: int) -> torch.Tensor:
    label = torch.zeros(1, 20, 20, dtype=torch.uint8)
    label[0, :10] = 1
    label.view(-1)[:pixels] = 2
    return label


@pytest.mark.parametrize(
    ("pixels", "malignant", "expected"),
    [
        (60, True, "malignant"), (60, False, "benign"), (49, True, "normal"), (50, True, "malignant"),
        (0, False, "normal"), (0, None, "normal"), (3, None, "normal"),
    ],
)  # fmt: skip
def test_classes(pixels, malignant, expected):
    item = LabelSliceClassd()({"label": _label(pixels), "malignant": malignant})
    assert SLICE_CLASS_NAMES[item["slice_class"]] == expected


def test_a_tumor_of_unknown_kind_has_no_class():
    assert LabelSliceClassd()({"label": _label(60), "malignant": None})["slice_class"] == -1
    assert LabelSliceClassd()({"label": _label(60)})["slice_class"] == -1


def test_the_speck_is_an_area_in_mm():
    stage = LabelSliceClassd(pixel_mm=0.5, speck_mm2=50.0)
    assert stage({"label": _label(199), "malignant": True})["slice_class"] == 2
    assert stage({"label": _label(200), "malignant": True})["slice_class"] == 1


def test_without_a_threshold_no_tumor_is_still_normal():
    assert LabelSliceClassd(speck_mm2=0)({"label": _label(0), "malignant": True})["slice_class"] == 2


def test_settings_are_checked():
    with pytest.raises(ValueError, match="pixel_mm > 0"):
        LabelSliceClassd(pixel_mm=0)
