"""What several processes of one training have seen, put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from torch import distributed
from torchmetrics import MeanMetric

__all__ = ["from_all_processes", "mean_of_items"]

Item = TypeVar("Item")


def from_all_processes(items: Sequence[Item]) -> list[Item]:
    """The items of all processes of a distributed training, in the order of their ranks; one process has its own.

    Every process must call it, the same number of times. Scores that are not means (an AUC, a threshold, a vote per
    patient, a Dice over everything) are then the same in all of them, and so are the names of what they log: Lightning
    waits forever where one process logs a figure that another does not.

    Args:
        items: Of this process; tensors in them on the CPU.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return list(items)
    parts: list[list[Item]] = [[] for _ in range(distributed.get_world_size())]
    distributed.all_gather_object(parts, list(items))
    return [item for part in parts for item in part]


def mean_of_items() -> MeanMetric:
    """A mean over the items of all processes, for `update(mean of a batch, items)` and `self.log(name, metric)`.

    Where processes have different numbers of items, the mean that `self.log` computes itself is wrong: Lightning
    averages these numbers as integers.
    """
    return MeanMetric(nan_strategy=float("nan"))  # a loss that is not a number shows; "disable" ignores the weights
