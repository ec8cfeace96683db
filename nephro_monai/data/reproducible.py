"""Random training samples that depend only on (seed, epoch, position), so that a resumed run equals an unbroken one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from monai.data import Dataset
from monai.transforms import Randomizable
from torch.utils.data import Sampler

__all__ = ["EpochSampler", "ReproducibleDataset"]


class EpochSampler(Sampler[int]):
    """Draws `samples_per_epoch` items per epoch, walking through one shuffled pass over the data after another.

    Each value is `draw * size + item`, where `draw` counts all samples since the first epoch; `ReproducibleDataset`
    reads the item and the seed of its augmentation from it.

    Args:
        size: Number of items.
        samples_per_epoch: Draws per epoch; None for one pass over the data.
        seed: Of the shuffles.

    Raises:
        ValueError: If `size` or `samples_per_epoch` is below 1.
    """

    def __init__(self, size: int, samples_per_epoch: int | None = None, seed: int = 0) -> None:
        self.size = size
        self.samples_per_epoch = size if samples_per_epoch is None else samples_per_epoch
        self.seed = seed
        self.epoch = 0
        if self.size < 1 or self.samples_per_epoch < 1:
            raise ValueError(f"EpochSampler needs items and samples, got {self.size} and {self.samples_per_epoch}.")

    def set_epoch(self, epoch: int) -> None:
        """The epoch whose samples the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Samples per epoch."""
        return self.samples_per_epoch

    def __iter__(self) -> Iterator[int]:
        """The samples of the current epoch."""
        first = self.epoch * self.samples_per_epoch
        shuffled, order = -1, np.arange(self.size)
        for draw in range(first, first + self.samples_per_epoch):
            passes, position = divmod(draw, self.size)
            if passes != shuffled:
                order = np.random.default_rng((self.seed, passes)).permutation(self.size)
                shuffled = passes
            yield draw * self.size + int(order[position])


class ReproducibleDataset(Dataset):
    """MONAI dataset whose random transforms are seeded anew for every draw of an `EpochSampler`.

    So neither the number of workers nor the moment a run was interrupted changes what the network sees. A plain
    index below `len(self)` is draw 0 of that item.

    Args:
        data: Items.
        transform: Applied to each item; seeded with `set_random_state` where it is random.
        seed: Combined with the draw.
    """

    def __init__(
        self, data: Sequence[Any], transform: Callable[..., Any] | Sequence[Callable[..., Any]], seed: int = 0
    ) -> None:
        super().__init__(data=data, transform=transform)
        self.seed = seed

    def __iter__(self) -> Iterator[Any]:
        """Draw 0 of every item; since further draws are valid indices, Python's own walk would not end."""
        return (self[item] for item in range(len(self)))

    def __getitem__(self, index: int) -> Any:  # type: ignore[override] # slices have no draw
        """The transformed item of one draw."""
        draw, item = divmod(int(index), len(self.data))
        if isinstance(self.transform, Randomizable):
            state = np.random.SeedSequence((self.seed, draw, item)).generate_state(1)
            self.transform.set_random_state(seed=int(state[0]))
        return self._transform(item)
