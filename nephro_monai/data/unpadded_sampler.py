"""Deals validation items out to the processes of a training, none of them twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from monai.data import DistributedSampler
from torch import distributed
from torch.utils.data import Dataset

__all__ = ["UnpaddedSampler"]


class UnpaddedSampler(DistributedSampler):
    """The items in their order; in a distributed training, each item in one process, so that scores count it once.

    Lightning's own sampler repeats items until all processes have the same number of them. Validation exchanges nothing
    between processes before its end, so they may differ by one; but each needs one at least (its first batch passes the
    buffers of the network on), so where there are fewer items than processes, items are repeated after all.

    It deals when it is asked, with MONAI's `DistributedSampler(even_divisible=False)`: Lightning starts the processes'
    group long after the configuration has made the sampler. One process has every item.

    Args:
        dataset: To draw from, of known length.
    """

    def __init__(self, dataset: Dataset[Any]) -> None:
        super().__init__(dataset, num_replicas=1, rank=0, shuffle=False)

    def __len__(self) -> int:
        """Items of this process."""
        return len(self._dealt())

    def __iter__(self) -> Iterator[int]:
        """Places of this process's items."""
        return iter(self._dealt())

    def _dealt(self) -> list[int]:
        items = len(self.dataset)  # type: ignore[arg-type] # a Dataset has a length, or DistributedSampler had refused it
        if not (distributed.is_available() and distributed.is_initialized()):
            return list(range(items))
        enough = items >= distributed.get_world_size()
        return list(DistributedSampler(self.dataset, even_divisible=not enough, shuffle=False))
