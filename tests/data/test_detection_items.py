from __future__ import annotations

import torch

from nephro_monai.data import RandDetectionItem
from nephro_monai.data.detection_items import collate_slices
from nephro_monai.data.slice_augmentation import SliceAugmentation


def given() -> dict:
    image, sides = torch.full((1, 32, 32), -60.0), torch.zeros(1, 32, 32, dtype=torch.uint8)
    image[0, 5:15, 4:10], sides[0, 5:15, 4:10] = 300.0, 1
    sides[0, 20:22, 20:22] = 2
    return {"image": image, "sides": sides}


def test_a_slice_becomes_image_and_boxes() -> None:
    image, target = RandDetectionItem((-60.0, 300.0))(given())
    assert target["boxes"].tolist() == [[4, 5, 10, 15]] and target["labels"].tolist() == [1]
    assert image.shape == (1, 32, 32) and image[0, 10, 5] == 1 and image[0, 0, 0] == 0


def test_the_random_state_decides_the_variant() -> None:
    transform = RandDetectionItem(augmentation=SliceAugmentation())
    first, again, other = (transform.set_random_state(seed)(given())[0] for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_lists_of_items_are_joined_in_a_batch() -> None:
    one = RandDetectionItem()(given())
    images, targets = collate_slices([one, [one, one]])
    assert images.shape == (3, 1, 32, 32) and len(targets) == 3
