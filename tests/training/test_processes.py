"""What two processes have seen, put together in both."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytorch_lightning as pl
import torch
from monai.data import DataLoader, Dataset
from torch import distributed

from nephro_monai.data import UnpaddedSampler
from nephro_monai.training.processes import from_all_processes, mean_of_items


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


class _Mean(pl.LightningModule):
    """Logs the mean of its validation items; its buffers go from process to process when batches begin."""

    def __init__(self) -> None:
        super().__init__()
        self.network = torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.BatchNorm1d(2))
        self.val_mean = mean_of_items()

    def training_step(self, batch, batch_idx):
        return self.network(batch).square().mean()

    def validation_step(self, batch, batch_idx):
        self.network(batch)
        self.val_mean.update(batch.mean(), len(batch))
        self.log("val_mean", self.val_mean)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_validation_in_two_processes_counts_every_item_once(tmp_path):
    """The mean of 0 to 4 is 2; with one item repeated, as Lightning's own sampler does, it is 5/3."""
    items = Dataset([torch.full((1,), float(value)) for value in range(5)])
    trainer = pl.Trainer(
        accelerator="cpu", devices=2, strategy="ddp_fork", max_epochs=2, default_root_dir=tmp_path, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    validation = DataLoader(items, batch_size=2, sampler=UnpaddedSampler(items))  # batches of 2 and 1, and of 2
    trainer.fit(_Mean(), DataLoader(items, batch_size=3), validation)
    assert trainer.callback_metrics["val_mean"].item() == 2.0


def test_the_mean_weighs_batches_by_their_items():
    mean = mean_of_items()
    mean.update(torch.tensor(1.0), 3)
    mean.update(torch.tensor(5.0), 1)
    assert mean.compute().item() == 2.0
    mean.update(torch.tensor(float("nan")), 1)
    assert torch.isnan(mean.compute())
