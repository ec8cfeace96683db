from __future__ import annotations

import pytest
import torch
from monai.transforms import Compose, Lambdad

from nephro_monai.geometry.axial import volume_to_axial
from nephro_monai.transforms import RandAxialSlicesd


def slab(tumor_slices: tuple[int, ...] = (3,)) -> dict:
    """Slice z of the image holds z everywhere but in one voxel of its own."""
    image = torch.arange(7.0).expand(1, 4, 5, 7).clone()
    image[0, 3, 1, :] = 50.0
    label = torch.zeros(1, 4, 5, 7, dtype=torch.uint8)
    for z in tumor_slices:
        label[0, 0, 0, z] = 2
    return {"image": image, "label": label, "case": "a"}


def numbers(samples: list[dict]) -> list[int]:
    return [int(sample["image"][0, 0, 1]) for sample in samples]


def test_a_slice_is_that_of_the_slab() -> None:
    given = slab()
    (made,) = RandAxialSlicesd(["image", "label"], margin=3)(given)
    for key in ("image", "label"):
        assert torch.equal(made[key], volume_to_axial(given[key])[3])
    assert made["image"].shape == (1, 5, 4) and made["image"][0, 3, 0] == 50 and made["label"][0, 4, 3] == 2
    assert made["case"] == "a" and given["image"].shape == (1, 4, 5, 7)


def test_slices_with_tumor_are_as_frequent_as_wanted() -> None:
    transform = RandAxialSlicesd(["image", "label"], tumor_share=0.75, num_samples=400).set_random_state(0)
    with_tumor = [bool(sample["label"].any()) for sample in transform(slab((0, 4)))]
    assert 0.68 < sum(with_tumor) / 400 < 0.82
    assert {bool(s["label"].any()) for s in transform(slab((0, 6)))} == {False}, "tumor in the margins alone"


def test_every_slice_is_taken_before_one_returns() -> None:
    transform = RandAxialSlicesd(["image", "label"], margin=1, num_samples=5).set_random_state(1)
    assert sorted(numbers(transform(slab()))) == [1, 2, 3, 4, 5]


def test_the_random_state_decides_and_compose_goes_on_with_each_slice() -> None:
    transform = Compose([RandAxialSlicesd(["image", "label"], num_samples=12), Lambdad("image", lambda x: x + 100)])
    first, again, other = (numbers(transform.set_random_state(seed)(slab())) for seed in (4, 4, 5))
    assert first == again != other and min(first) >= 102


def test_wrong_numbers_are_refused() -> None:
    for settings in ({"margin": -1}, {"num_samples": 0}, {"tumor_share": 1.5}):
        with pytest.raises(ValueError, match="RandAxialSlicesd needs"):
            RandAxialSlicesd("image", **settings)
    with pytest.raises(ValueError, match="cut thicker slabs"):
        RandAxialSlicesd(["image", "label"], margin=4)(slab())
