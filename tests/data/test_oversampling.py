"""The rarer class as often as the other one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from nephro_monai.data import OversamplingSampler, oversampled
from nephro_monai.errors import TrainingDataError

LABELS = [1] * 11 + [0] * 4


def test_both_classes_alike_and_every_item_there() -> None:
    places = oversampled(LABELS, np.random.default_rng(0))
    assert Counter(LABELS[k] for k in places) == {0: 11, 1: 11}
    counts = Counter(places.tolist())
    assert set(counts) == set(range(15))
    assert all(counts[k] == 1 for k in range(11))
    assert sorted(counts[k] for k in range(11, 15)) == [2, 3, 3, 3]  # as equally as 11 / 4 allows


def test_the_remainder_is_drawn_anew() -> None:
    rng = np.random.default_rng(0)
    drawn = {tuple(sorted(oversampled(LABELS, rng).tolist())) for _ in range(20)}
    assert len(drawn) == 4


def test_one_class_cannot_be_balanced() -> None:
    with pytest.raises(TrainingDataError, match="benign and malignant"):
        oversampled([1, 1], np.random.default_rng(0))
    with pytest.raises(TrainingDataError):
        OversamplingSampler([0])


def test_an_epoch_is_one_pass_by_default() -> None:
    sampler = OversamplingSampler(LABELS, seed=1)
    first = [draw % 15 for draw in sampler]
    assert len(first) == len(sampler) == 22
    assert Counter(LABELS[k] for k in first) == {0: 11, 1: 11}
    sampler.set_epoch(1)
    assert [draw % 15 for draw in sampler] != first


def test_short_epochs_walk_through_the_passes() -> None:
    whole, short = OversamplingSampler(LABELS, 44, seed=2), OversamplingSampler(LABELS, 11, seed=2)
    drawn = []
    for epoch in range(4):
        short.set_epoch(epoch)
        drawn += list(short)
    assert drawn == list(whole)
    assert [draw // 15 for draw in drawn] == list(range(44))  # each draw has its own number for the augmentation


def test_an_empty_epoch_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        OversamplingSampler(LABELS, 0)
