from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.transforms import Compose, RandGaussianNoised

from nephro_monai.data import EpochSampler, ReproducibleDataset


def test_every_item_once_per_pass():
    sampler = EpochSampler(size=7, samples_per_epoch=5, seed=1)
    draws = []
    for epoch in range(7):
        sampler.set_epoch(epoch)
        assert len(sampler) == 5
        draws += list(sampler)
    items = np.array(draws) % 7
    for start in range(0, 35, 7):
        assert sorted(items[start : start + 7]) == list(range(7))
    assert len(set(draws)) == 35, "every draw has its own number"
    assert not np.array_equal(items[:7], items[7:14])


def test_epochs_can_be_repeated():
    sampler = EpochSampler(size=9, samples_per_epoch=4)
    sampler.set_epoch(3)
    assert list(sampler) == list(sampler)


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="needs items"):
        EpochSampler(size=0)


@pytest.mark.parametrize("workers", [0, 2])
def test_samples_depend_on_draw_only(workers):
    data = [{"image": torch.zeros(1, 4)} for _ in range(3)]
    transform = Compose([RandGaussianNoised("image", prob=1.0)])
    dataset = ReproducibleDataset(data, transform, seed=5)
    sampler = EpochSampler(3, 6, seed=5)
    sampler.set_epoch(2)
    loader = DataLoader(dataset, batch_size=2, sampler=sampler, num_workers=workers)
    once = torch.cat([batch["image"] for batch in loader])
    again = torch.stack([dataset[draw]["image"] for draw in list(sampler)[::-1]]).flip(0)
    torch.testing.assert_close(once, again, rtol=0, atol=0)
    assert len(torch.unique(once)) > 20, "each draw has noise of its own"


def test_walking_through_the_items_ends():
    dataset = ReproducibleDataset([1, 2, 3], lambda item: 10 * item)
    assert list(dataset) == [10, 20, 30]
