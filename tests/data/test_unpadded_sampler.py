"""Every validation item in one process, none twice."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from monai.data import Dataset
from torch import distributed
from torch.utils.data import DistributedSampler

from nephro_monai.data import UnpaddedSampler


def test_one_process_has_every_item():
    sampler = UnpaddedSampler(Dataset(list("abcde")))
    assert list(sampler) == [0, 1, 2, 3, 4] and len(sampler) == 5
    assert isinstance(sampler, DistributedSampler), "Lightning puts its own in the place of any other"


def deal(rank: int, size: int, store: Path, results: multiprocessing.Queue) -> None:
    sampler = UnpaddedSampler(Dataset(list(range(size))))  # before there is a group, as a configuration makes it
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=3)
    results.put((rank, (list(sampler), len(sampler))))
    distributed.barrier()  # one that leaves while the others still connect makes them fail
    distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("size", "dealt"),
    [
        (7, {0: [0, 3, 6], 1: [1, 4], 2: [2, 5]}),
        (6, {0: [0, 3], 1: [1, 4], 2: [2, 5]}),
        (2, {0: [0], 1: [1], 2: [0]}),  # each process needs an item
    ],
)
def test_processes_share_the_items(size, dealt, tmp_path):
    found = in_processes(deal, 3, size, tmp_path / "store")
    assert found == {rank: (places, len(places)) for rank, places in dealt.items()}


def in_processes(target, count: int, *arguments):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=target, args=(rank, *arguments, results)) for rank in range(count)]
    for process in processes:
        process.start()
    found = dict(results.get(timeout=120) for _ in processes)
    for process in processes:
        process.join(timeout=60)
    return found
