from __future__ import annotations

import pytest
import torch

from nephro_monai.geometry.tumor_slices import TumorCropSettings
from nephro_monai.transforms import RandTumorSlicesd

SPACING = (1.0, 1.0, 3.0)
SETTINGS = TumorCropSettings(size=16, spacing_mm=1.0, max_slices_per_tumor=1)


def slab(tumor: tuple[int, ...] = (2, 3, 4), malignant: bool | None = True) -> dict:
    """HU are 100 times the slice's number in the tumor, which is larger in slice 3, and 0 around it."""
    image, label = torch.zeros(1, 40, 30, 7), torch.zeros(1, 40, 30, 7, dtype=torch.uint8)
    for z in tumor:
        half = 5 if z == 3 else 4
        label[0, 20 - half : 20 + half, 12 - half : 12 + half, z] = 2
        image[0, :, :, z] = label[0, :, :, z] * 50.0 * z
    return {"image": image, "label": label, "malignant": malignant, "subtype": "papillary", "case": "a"}


def transform(**changes) -> RandTumorSlicesd:
    return RandTumorSlicesd("image", SPACING, **{"settings": SETTINGS, **changes})


def test_crops_are_centered_on_the_tumor_and_named_after_its_malignancy() -> None:
    made = transform(num_samples=3).set_random_state(0)(slab())
    assert sorted(float(item["image"].max()) for item in made) == [200.0, 300.0, 400.0]
    for item in made:
        z, half = int(item["image"].max()) // 100, 5 if item["largest"] else 4
        assert item["image"].shape == (1, 16, 16) and item["label"] == 1 and item["case"] == "a"
        assert item["area_mm2"] == (2 * half) ** 2 and item["largest"] == (z == 3)
        inside = item["image"][0] > 50
        assert inside.sum() == (2 * half) ** 2 and inside[8 - half : 8 + half, 8 - half : 8 + half].all()
    assert transform()(slab(malignant=False))[0]["label"] == 0


def test_a_slice_returns_only_after_all_were_taken() -> None:
    made = transform(num_samples=7).set_random_state(2)(slab())
    assert {float(item["image"].max()) for item in made[:3]} == {200.0, 300.0, 400.0}
    assert sum(item["largest"] for item in made) == 1


def test_the_margin_is_used_where_nothing_else_shows_the_tumor() -> None:
    assert all(item["image"].max() == 200 for item in transform(num_samples=4)(slab((1, 2))))
    assert transform()(slab((6,)))[0]["image"].max() == 600


def test_what_cannot_be_cut_is_refused() -> None:
    for given in (slab(()), slab(malignant=None)):
        with pytest.raises(ValueError, match="set need_tumor"):
            transform()(given)
    with pytest.raises(ValueError, match="RandTumorSlicesd needs one key"):
        transform(num_samples=0)
