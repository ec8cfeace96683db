"""Draws the rarer class as often as the other one (Zhou 2019, "Training Details")."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from nephro_monai.errors import TrainingDataError

__all__ = ["OversamplingSampler", "oversampled"]


def oversampled(labels: Sequence[int] | np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One pass over the items in random order, with every class as frequent as the most frequent one.

    Every item is there; those of rarer classes return equally often, but for a random remainder.

    Args:
        labels: Class of each item.
        rng: Draws order and remainder.

    Returns:
        int64 places in `labels`.

    Raises:
        TrainingDataError: If there are not two classes at least.
    """
    classes, counts = np.unique(np.asarray(labels), return_counts=True)
    if len(classes) < 2:
        raise TrainingDataError(
            f"Oversampling needs benign and malignant items, got {len(labels)} of one kind; add cases of the other."
        )
    drawn = []
    for value, count in zip(classes, counts, strict=True):
        places = np.flatnonzero(np.asarray(labels) == value)
        whole, rest = divmod(int(counts.max()), int(count))
        drawn += [*([places] * whole), rng.choice(places, rest, replace=False)]
    return rng.permutation(np.concatenate(drawn))


class OversamplingSampler(Sampler[int]):
    """Draws `samples_per_epoch` items per epoch, walking through one oversampled pass after another.

    Of slices it balances the images, of patients the patients. Each value is `draw * size + item`, as
    `ReproducibleDataset` reads it (see `EpochSampler`): the order depends on the seed and the epoch only.

    Args:
        labels: Class of each item.
        samples_per_epoch: Draws per epoch; None for one oversampled pass.
        seed: Of the passes.

    Raises:
        ValueError: If `samples_per_epoch` is below 1.
        TrainingDataError: If there are not two classes at least.
    """

    def __init__(self, labels: Sequence[int], samples_per_epoch: int | None = None, seed: int = 0) -> None:
        self.labels = np.asarray(labels)
        self.seed = seed
        self.epoch = 0
        self._pass_length = len(self._pass(0))
        self.samples_per_epoch = self._pass_length if samples_per_epoch is None else samples_per_epoch
        if self.samples_per_epoch < 1:
            raise ValueError(f"OversamplingSampler needs at least one sample per epoch, got {samples_per_epoch}.")

    def set_epoch(self, epoch: int) -> None:
        """The epoch whose samples the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Samples per epoch."""
        return self.samples_per_epoch

    def __iter__(self) -> Iterator[int]:
        """The samples of the current epoch."""
        first = self.epoch * self.samples_per_epoch
        drawn, order = -1, np.empty(0, int)
        for draw in range(first, first + self.samples_per_epoch):
            passes, position = divmod(draw, self._pass_length)
            if passes != drawn:
                drawn, order = passes, self._pass(passes)
            yield draw * len(self.labels) + int(order[position])

    def _pass(self, number: int) -> np.ndarray:
        return oversampled(self.labels, np.random.default_rng((self.seed, number)))
