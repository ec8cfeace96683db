"""What two processes have seen, put together in both."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import torch
from torch import distributed

from nephro_monai.training.processes import from_all_processes


def test_one_process_has_its_own_items():
    assert from_all_processes([3, "a"]) == [3, "a"]


def gather(rank: int, store: Path, results: multiprocessing.Queue) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    own = [("case", torch.full((1 + rank,), float(rank)))] * (2 * rank + 1)  # not the same number in both
    results.put((rank, [(name, values.tolist()) for name, values in from_all_processes(own)]))
    distributed.destroy_process_group()


def test_all_processes_get_the_items_of_all_in_the_order_of_their_ranks(tmp_path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=gather, args=(rank, tmp_path / "store", results)) for rank in (0, 1)]
    for process in processes:
        process.start()
    found = dict(results.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(timeout=60)
    expected = [("case", [0.0]), *[("case", [1.0, 1.0])] * 3]
    assert found == {0: expected, 1: expected}
