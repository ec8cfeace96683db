from __future__ import annotations

import math
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint, Timer
from torch import nn
from torch.utils.data import DataLoader

from nephro_monai.data import EpochSampler, ReproducibleDataset
from nephro_monai.training.callbacks import CosineSchedule, ReproducibleSteps, SaveNetworkWeights


class Task(pl.LightningModule):
    """A little network with dropout; the batches are the samples' numbers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.seen: list[float] = []
        self.rates: list[float] = []

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        self.seen += batch.flatten().tolist()
        self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        return self.network(batch).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.network.parameters(), lr=0.1)


def fit(folder: Path, epochs: int, stop_after: int | None = None, resume: bool = False, workers: int = 0) -> Task:
    """Trains for `epochs`, or plans to and stops before the epoch `stop_after`."""
    task = Task()
    data = [torch.tensor([float(i)]) for i in range(6)]
    sampler = EpochSampler(len(data), 4, seed=1)
    loader = DataLoader(
        ReproducibleDataset(data, lambda x: x / 6), batch_size=2, sampler=sampler, num_workers=workers,
        persistent_workers=workers > 0,
    )  # fmt: skip
    callbacks: list[pl.Callback] = [
        CosineSchedule(warmup_fraction=0.25),
        ReproducibleSteps(sampler, seed=1),
        SaveNetworkWeights(folder / "model.pt"),
        ModelCheckpoint(folder, "last", enable_version_counter=False, save_on_train_epoch_end=True),
    ]
    if stop_after is not None:
        callbacks.append(_Interrupt(stop_after))
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=epochs, callbacks=callbacks, logger=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    with suppress(_KilledError):
        trainer.fit(task, loader, ckpt_path=folder / "last.ckpt" if resume else None, weights_only=True)
    return task


class _KilledError(RuntimeError):
    """Stands for a killed process."""


class _Interrupt(pl.Callback):
    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, trainer: pl.Trainer, *args: object, **kwargs: object) -> None:
        if trainer.current_epoch == self.epoch:
            raise _KilledError


@pytest.mark.parametrize("workers", [0, 1])
def test_resumed_run_ends_where_an_unbroken_one_ends(tmp_path, workers):
    unbroken = fit(tmp_path / "whole", 4, workers=workers)
    first = fit(tmp_path / "parts", 4, stop_after=2, workers=workers)
    second = fit(tmp_path / "parts", 4, resume=True, workers=workers)
    assert len(first.seen) == 10, "killed in the middle of the third epoch"
    assert second.seen == unbroken.seen[8:], "the third epoch begins again, with its own samples"
    assert second.rates == pytest.approx(unbroken.rates[4:])
    for name, value in unbroken.network.state_dict().items():
        torch.testing.assert_close(second.network.state_dict()[name], value, rtol=0, atol=1e-6)


def test_epochs_see_different_samples_and_all_of_them(tmp_path):
    seen = fit(tmp_path, 3).seen
    assert sorted(round(6 * x) for x in seen[:6]) == list(range(6))
    assert seen[:4] != seen[4:8]


def test_weights_are_a_plain_state_dict_written_whole(tmp_path):
    task = fit(tmp_path, 1)
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.ckpt", "model.pt"]
    for name, value in task.network.state_dict().items():
        torch.testing.assert_close(state[name], value)


def test_half_precision_keeps_integers(tmp_path):
    callback = SaveNetworkWeights(tmp_path / "model.pt", half=True)
    assert callback._stored(torch.ones(2)).dtype == torch.float16
    assert callback._stored(torch.tensor(3)).dtype == torch.int64


def test_schedule_warms_up_and_comes_down():
    schedule = CosineSchedule(warmup_fraction=0.2, final_fraction=0.1)
    assert schedule.factor(0.1) == pytest.approx(0.5)
    assert schedule.factor(0.2) == pytest.approx(1.0)
    assert schedule.factor(0.6) == pytest.approx(0.55)
    assert schedule.factor(1.0) == pytest.approx(0.1)
    assert 0 < schedule.factor(0.0) < 0.05


def test_schedule_of_a_run(tmp_path):
    rates = fit(tmp_path, 4).rates  # 8 steps, of which 2 warm up
    assert rates[2] == pytest.approx(0.1)
    assert all(a > b for a, b in pairwise(rates[2:]))
    assert rates[-1] == pytest.approx(0.1 * CosineSchedule(0.25).factor(7 / 8))


def test_schedule_follows_the_clock_when_time_runs_out_first(monkeypatch):
    schedule = CosineSchedule(warmup_fraction=0.0, final_fraction=0.0)
    timer = Timer(timedelta(minutes=10))
    monkeypatch.setattr(timer, "time_elapsed", lambda stage="train": 300.0)
    monkeypatch.setattr(timer, "time_remaining", lambda stage="train": 300.0)

    class Trainer:
        callbacks = (timer,)
        global_step = 10

    schedule._steps = 1000.0
    assert schedule._progress(Trainer()) == pytest.approx(0.5)
    schedule._steps = math.inf
    assert schedule._progress(Trainer()) == pytest.approx(0.5)
    schedule._steps = 12.0
    assert schedule._progress(Trainer()) == pytest.approx(10 / 12)


@pytest.mark.parametrize("fractions", [(1.0, 0.0), (0.0, 2.0), (-0.1, 0.0)])
def test_impossible_fractions_are_refused(fractions):
    with pytest.raises(ValueError, match=r"within 0\.\.1"):
        CosineSchedule(*fractions)
