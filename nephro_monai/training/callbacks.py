"""Lightning callbacks that every training bundle uses."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Timer

from nephro_monai.io.atomic import atomic_path

__all__ = ["AugmentBatches", "CosineSchedule", "ReproducibleSteps", "SaveNetworkWeights"]


class _HasEpoch(Protocol):
    def set_epoch(self, epoch: int) -> None: ...


class AugmentBatches(Callback):
    """Varies `image` and `label` of every training batch on the batch's own device.

    A batch on a GPU takes a millisecond where single patches on CPU cores take tens of milliseconds each. Stands after
    `ReproducibleSteps`, which seeds what is drawn here.

    Args:
        augmentation: Called with (image, label), gives what takes their place.
    """

    def __init__(self, augmentation: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]) -> None:
        self.augmentation = augmentation

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Replaces the batch's image and label."""
        batch["image"], batch["label"] = self.augmentation(batch["image"], batch["label"])


class SaveNetworkWeights(Callback):
    """Writes the plain `state_dict` of the module's `network` after every epoch, whole or not at all.

    The file feeds MONAI's `CheckpointLoader`, `ckpt_export` and `monai.bundle.load`; Lightning's own checkpoints
    have prefixed keys and do not.

    Args:
        path: For example `runs/vnet/model.pt`.
        half: Store floating-point tensors in half precision.
    """

    def __init__(self, path: str | Path, half: bool = False) -> None:
        self.path = Path(path)
        self.half = half

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the weights (rank 0 only)."""
        if not trainer.is_global_zero:
            return
        network = cast("torch.nn.Module", pl_module.network)
        state = {key: self._stored(value) for key, value in network.state_dict().items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(self.path) as temporary:
            torch.save(state, temporary)

    def _stored(self, value: torch.Tensor) -> torch.Tensor:
        value = value.detach().cpu().contiguous()
        return value.half() if self.half and value.is_floating_point() else value


class CosineSchedule(Callback):
    """Linear warm-up, then half a cosine down to `final_fraction` of each group's learning rate.

    Progress is counted in steps of the planned training, or in time where the trainer has a time limit (`max_time`)
    and time runs out first; so the rate is down when training ends, either way. Nothing is stored: a resumed run
    computes the same rates.

    Args:
        warmup_fraction: Share of the training that warms up.
        final_fraction: Last rate as a share of the highest.

    Raises:
        ValueError: If a fraction is not within 0..1.
    """

    def __init__(self, warmup_fraction: float = 0.05, final_fraction: float = 0.01) -> None:
        if not (0.0 <= warmup_fraction < 1.0 and 0.0 <= final_fraction <= 1.0):
            raise ValueError(f"Fractions must be within 0..1, got warm-up {warmup_fraction}, final {final_fraction}.")
        self.warmup_fraction = warmup_fraction
        self.final_fraction = final_fraction
        self._highest: list[list[float]] = []
        self._steps = 0.0

    def factor(self, progress: float) -> float:
        """Learning rate at `progress` (0..1), as a share of the highest."""
        if progress < self.warmup_fraction:
            return max(0.01, progress / self.warmup_fraction)
        along = min(1.0, (progress - self.warmup_fraction) / (1.0 - self.warmup_fraction))
        return self.final_fraction + (1.0 - self.final_fraction) * 0.5 * (1.0 + math.cos(math.pi * along))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notes the highest rates and the planned number of steps."""
        self._highest = [[float(g.get("initial_lr", g["lr"])) for g in o.param_groups] for o in trainer.optimizers]
        for optimizer, rates in zip(trainer.optimizers, self._highest, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["initial_lr"] = rate  # in the checkpoint, so that a resumed run knows it
        self._steps = float(trainer.estimated_stepping_batches)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Sets the rates of this step."""
        factor = self.factor(self._progress(trainer))
        for optimizer, rates in zip(trainer.optimizers, self._highest, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
        pl_module.log("learning_rate", trainer.optimizers[0].param_groups[0]["lr"])

    def _progress(self, trainer: pl.Trainer) -> float:
        done = trainer.global_step / self._steps if math.isfinite(self._steps) and self._steps > 0 else 0.0
        for timer in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(timer, Timer) and (left := timer.time_remaining()) is not None:
                elapsed = timer.time_elapsed()
                done = max(done, elapsed / max(elapsed + left, 1e-9))
        return min(1.0, done)


class ReproducibleSteps(Callback):
    """Makes every training step depend only on (seed, step): a resumed run ends where an unbroken one ends.

    Dropout is seeded before each step; the sampler is told the epoch also right after a checkpoint was loaded,
    because Lightning builds the first iterator of a resumed run before it tells samplers the epoch.

    Args:
        sampler: Has `set_epoch`.
        seed: Of the run.
    """

    def __init__(self, sampler: _HasEpoch, seed: int = 0) -> None:
        self.sampler = sampler
        self.seed = seed

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Moves the sampler to the epoch after the checkpoint's."""
        progress = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]
        self.sampler.set_epoch(int(progress["processed"]))

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tells the sampler the epoch."""
        self.sampler.set_epoch(trainer.current_epoch)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seeds dropout."""
        torch.manual_seed(hash((self.seed, trainer.global_step, trainer.global_rank)) & 0x7FFFFFFF)
