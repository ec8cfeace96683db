"""Warnings about scans that lie outside of what the networks were trained on."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from nephro_monai.engine.bundles import find_bundle
from nephro_monai.transforms import CheckTrainingRanged
from nephro_monai.transforms.check_training_range import measure_kidney_hu


def _bounds() -> dict[str, Any]:
    config = json.loads((find_bundle("nephro_cascade") / "configs" / "inference.json").read_text(encoding="utf-8"))
    return config["training_range"]


def _scan(spacing: tuple[float, float, float] = (4.0, 4.0, 5.0), offset: float = 0.0, slices: int = 60) -> MetaTensor:
    """A body of 300 mm in air: a good third fat at -100 HU, the rest soft tissue at 55 HU."""
    rng = np.random.default_rng(0)
    image = np.full((100, 100, slices), -1000, np.float32)
    image[12:88, 12:40], image[12:88, 40:88] = -100, 55
    image += rng.normal(0, 12, image.shape).astype(np.float32) + offset
    return MetaTensor(torch.from_numpy(image)[None], affine=torch.diag(torch.tensor([*spacing, 1.0])))


def _warnings(image: MetaTensor, spacing_free: bool = True) -> tuple[str, ...]:
    bounds = _bounds()
    if spacing_free:  # the test's pixels are coarse to keep it quick
        bounds.pop("pixel_mm")
    return CheckTrainingRanged(bounds)({"image": image})["warnings"]


def test_a_scan_like_those_of_training_has_no_warning() -> None:
    assert _warnings(_scan()) == ()


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (
            _scan(spacing=(4.0, 4.0, 8.0)),
            "Axial slices lie 8 mm apart; the networks were trained, with a margin, on 0.5 to 5 mm",
        ),
        (_scan(slices=6), "covers 30 mm along the body"),
        (_scan(spacing=(1.0, 1.0, 5.0)), "100 mm wide"),
        (_scan(offset=1024.0), "no CT"),
        (_scan(offset=120.0), "Soft tissue lies at 175 HU"),
    ],
    ids=["thick", "short", "narrow", "unsigned", "shifted"],
)
def test_what_differs_is_said_in_words(image: MetaTensor, words: str) -> None:
    assert any(words in sentence for sentence in _warnings(image)), _warnings(image)


def test_slices_that_are_not_axial_show_as_pixels_too_large() -> None:
    image = _scan(spacing=(0.8, 5.0, 0.8))
    assert any("Pixels of the axial slices measure 5 mm" in s for s in _warnings(image, spacing_free=False))


def _chest() -> MetaTensor:
    image = _scan()
    image[0, 20:50, 20:80] = -850
    return image


def _head() -> MetaTensor:
    image = _scan()
    image[0, 12:22, 12:88] = 900
    return image


def _with_arms() -> MetaTensor:
    image = _scan()
    image[0, 92:99, 20:60] = 55
    return image


def _with_metal() -> MetaTensor:
    image = _scan()
    image[0, 50:52, 50:52, 20:25] = 3000
    return image


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (_chest(), "Lungs or gas fill 31% of the body"),
        (_head(), "Bone, or what is as dense, fills 13% of the body"),
        (_with_arms(), "In 100% of the slices arms or legs lie beside the trunk"),
        (_with_metal(), "The scan holds 1.6 ml of metal"),
        (_scan()[:, 20:80, 20:80], "cut off along 100% of the edge"),
    ],
    ids=["chest", "head", "arms", "metal", "cut off"],
)
def test_what_is_not_the_abdomen_alone_is_said_in_words(image: MetaTensor, words: str) -> None:
    assert any(words in sentence for sentence in _warnings(image)), _warnings(image)


def test_earlier_warnings_and_other_keys_stay() -> None:
    image = _scan()
    case = CheckTrainingRanged({"length_mm": (1000, 2000)})({"image": image, "warnings": ("first",), "case": "a"})
    assert case["warnings"][0] == "first" and "covers 300 mm" in case["warnings"][1]
    assert case["image"] is image and case["case"] == "a"


def _outlined(kidney_hu: float, tumor_hu: float = 30.0) -> dict[str, Any]:
    """A noisy kidney with a tumor in fat, and its label map."""
    rng = np.random.default_rng(0)
    label = torch.zeros(1, 40, 40, 20, dtype=torch.uint8)
    label[:, 10:30, 10:30, 5:15], label[:, 10:20, 10:30, 5:15] = 1, 2
    image = torch.tensor([-100.0, kidney_hu, tumor_hu])[label.int()]
    image += torch.from_numpy(rng.normal(0, 30, image.shape).astype(np.float32))
    return {"image": MetaTensor(image, affine=torch.eye(4)), "segmentation": label}


@pytest.mark.parametrize(("kidney_hu", "said"), [(35.0, True), (130.0, False)])
def test_a_scan_without_contrast_says_that_tumors_are_hard_to_see(kidney_hu: float, said: bool) -> None:
    case = _outlined(kidney_hu)
    assert measure_kidney_hu(case["image"], case["segmentation"]) == pytest.approx(kidney_hu, abs=3)
    found = CheckTrainingRanged({}, contrast_above_hu=52)(case)["warnings"]
    assert any("without contrast agent" in s and "hard to see" in s for s in found) is said
    assert CheckTrainingRanged({})({"image": case["image"]})["warnings"] == ()


def test_where_no_kidney_was_outlined_nothing_is_said_of_contrast() -> None:
    case = _outlined(35.0)
    case["segmentation"] = torch.zeros_like(case["segmentation"])
    assert np.isnan(measure_kidney_hu(case["image"], case["segmentation"]))
    assert CheckTrainingRanged({}, contrast_above_hu=52)(case)["warnings"] == ()


@pytest.mark.parametrize(
    ("bounds", "message"), [({"thickness": (1, 2)}, "slice_thickness_mm"), ({"pixel_mm": (2, 1)}, "ascending")]
)
def test_wrong_bounds_are_refused(bounds: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CheckTrainingRanged(bounds)
