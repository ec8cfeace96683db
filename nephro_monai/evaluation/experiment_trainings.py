"""Runs the trainings of an experiment, each once: a finished one is kept, an interrupted one goes on."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from nephro_monai.data import list_training_cases
from nephro_monai.engine.bundles import read_configs, read_metadata
from nephro_monai.engine.environment import git_revision, hardware, resolve_device, versions
from nephro_monai.engine.train import TrainOptions, train_bundle
from nephro_monai.errors import BundleError, WeightsError
from nephro_monai.evaluation.experiment_identity import training_identity
from nephro_monai.evaluation.experiment_plan import Experiment, Training
from nephro_monai.evaluation.experiment_rounds import Round
from nephro_monai.io.atomic import atomic_path

__all__ = ["ExperimentOptions", "TrainedRun", "check_options", "train_once"]

_RUN = re.compile(r"\{run:([^}]+)\}")
_MARKER = "run.json"
_SECONDS = "seconds.txt"
_BY_INFERENCE = ("tumor_slices", "cascade")  # scorers that run the bundles' inference.json
# Ids of inference.json that say how, on what and with which weights it runs, which the scorer decides.
_RUN_TIME = frozenset({
    "batch_size", "device", "device_name", "dataset_dir", "output_dir", "run", "imports", "cases", "bundle_root",
    "progress", "workers", "epochs", "network", "weights",
})  # fmt: skip


@dataclass(frozen=True)
class ExperimentOptions:
    """What an experiment needs to know beside its table.

    Attributes:
        data: Folder in KiTS19 layout.
        out: Folder for the trainings, the scores and the tables; several experiments may share it.
        seeds: How many; each has splits and starting weights of its own.
        device: "auto", "cpu" or "cuda".
        pretrained: Names of pretrained weights to start from, each with a file, or None for the library's own.
        overrides: New values for ids of every training that has them; those that inference.json has too, and that are
            not about how and on what it runs, hold for scoring as well.
        progress: Show the trainings' own bars.
        say: Told what begins, in a line.
        real: Folder in KiTS19 layout with further cases, such as real scans, that rows with whole journeys ("cascade")
            are scored on as well; never trained on.
    """

    data: Path
    out: Path
    seeds: int = 1
    device: str = "auto"
    pretrained: Mapping[str, str | None] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    progress: bool = False
    say: Callable[[str], None] = lambda text: None
    real: Path | None = None


@dataclass(frozen=True)
class TrainedRun:
    """A finished training.

    Attributes:
        training: What was trained.
        folder: With `model.pt`, `training.json` and `inference.json` (its values), and `run.json`.
        record: The content of run.json.
    """

    training: Training
    folder: Path
    record: Mapping[str, Any]

    @property
    def weights(self) -> str:
        """Path of the trained weights."""
        return str(self.folder.resolve() / "model.pt")

    def configs(self, of: str) -> list[str]:
        """Configurations to lay over "training" (train.json) or "inference" (inference.json) of the bundle."""
        return [*self.training.configs_of(of), str(self.folder.resolve() / f"{of}.json")]


def check_options(experiment: Experiment, options: ExperimentOptions) -> None:
    """Refuses options that no training of the experiment takes.

    Raises:
        BundleError: If an id or a name of pretrained weights is unknown.
        WeightsError: If pretrained weights need a file that is not given or not there.
        TrainingDataError: If the folder of further cases has none.
    """
    trainings = [experiment.trainings[name] for row in experiment.rows for name in row.trainings]
    scored = [
        experiment.trainings[name]
        for row in experiment.rows
        if row.score.get("kind") in _BY_INFERENCE
        for name in row.trainings
    ]
    taken = {key for training in trainings for key in _given(training, options, "train.json")}
    taken |= {key for training in scored for key in _given(training, options, "inference.json")}
    for key in options.overrides:
        if key not in taken:
            raise BundleError(f"No training of {experiment.name} has the id {key!r} to set.")
    if options.real is not None:
        list_training_cases(options.real)
    known: dict[str, list[str | None]] = {}
    for training in trainings:
        for name, weights in training.pretrained.items():
            known.setdefault(name, []).append(weights.source)
    for name, source in options.pretrained.items():
        if name not in known:
            choices = ", ".join(sorted(known)) or "none"
            raise BundleError(f"{experiment.name} cannot start from {name!r}; the weights it takes are: {choices}.")
        if source is None and None in known[name]:
            raise WeightsError(f"{name} has no library to come from; give its file: --pretrained {name}=FILE.")
        if source is not None and source not in known[name] and not Path(source).is_file():
            raise WeightsError(f"There is no file {source}; give that of the weights: --pretrained {name}=FILE.")


def train_once(
    training: Training,
    turn: Round,
    options: ExperimentOptions,
    done: Mapping[str, TrainedRun],
    only_finished: bool = False,
) -> TrainedRun | None:
    """Trains, or takes up the finished or interrupted training with the same values.

    The folder's name holds a hash of all that decides the outcome but the machine and the code, so that tables share
    trainings: values, configurations, checksums of weights, the data set, the split.

    Args:
        training: What to train.
        turn: Split and seed.
        options: Data, output folder, device.
        done: Trainings of the same round that this one builds on.
        only_finished: Look for a finished one; None where there is none.
    """
    values, starts = _values(training, turn, options)
    named = _with_runs(values, {name: run.folder.name for name, run in done.items()})
    configs = training.configs_of("training")
    identity = [training.bundle, configs, named, training_identity(training, named, options.pretrained),
                turn.seed, turn.names, turn.training, turn.fingerprint, str(options.data.resolve())]  # fmt: skip
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]
    folder = options.out / "runs" / f"{training.name}-seed{turn.seed}-fold{turn.fold}-{digest}"
    if (folder / _MARKER).is_file() and (folder / "model.pt").is_file():
        _remove_checkpoints(folder)
        return TrainedRun(training, folder, json.loads((folder / _MARKER).read_text(encoding="utf-8")))
    if only_finished:
        return None
    values = _with_runs(values, {name: str(run.folder.resolve()) for name, run in done.items()})
    for of in ("training", "inference"):
        with atomic_path(folder / f"{of}.json") as path:
            path.write_text(json.dumps(values[of], indent=2) + "\n", encoding="utf-8")
    resumed = (folder / "checkpoints" / "last.ckpt").is_file()
    options.say(f"{training.name}, seed {turn.seed}, fold {turn.fold}: {'goes on' if resumed else 'training'}")
    torch.manual_seed(turn.seed)
    seconds = _train(training, folder, options, resumed)
    record = {
        "training": training.name, "bundle": training.bundle, "configs": list(configs), **starts,
        "seconds": seconds, "resumed": resumed, "seed": turn.seed, "fold": turn.fold,
        "held_out": turn.names, "hardware": hardware(resolve_device(options.device)), "versions": versions(),
        "git_revision": git_revision(),
    }  # fmt: skip
    with atomic_path(folder / _MARKER) as path:
        path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    _remove_checkpoints(folder)  # only now: without the marker, the training goes on from them
    return TrainedRun(training, folder, record)


def _train(training: Training, folder: Path, options: ExperimentOptions, resumed: bool) -> float:
    """Trains; seconds of this and, where it goes on, of earlier attempts (but those that were killed outright)."""
    spent = folder / _SECONDS
    before = float(spent.read_text(encoding="utf-8")) if resumed and spent.is_file() else 0.0
    started = time.perf_counter()
    try:
        train_bundle(
            training.bundle,
            TrainOptions(
                data=options.data, out=folder, device=options.device, resume=resumed, overwrite=not resumed,
                configs=(*training.configs_of("training"), str(folder.resolve() / "training.json")),
                overrides={"progress": options.progress},
            ),
        )  # fmt: skip
    finally:
        seconds = round(before + time.perf_counter() - started, 1)
        with atomic_path(spent) as path:
            path.write_text(f"{seconds}\n", encoding="utf-8")
    return seconds


def _remove_checkpoints(folder: Path) -> None:
    """Those of a finished training, as large as three models."""
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def _values(
    training: Training, turn: Round, options: ExperimentOptions
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Values for train.json and inference.json, and what the weights start from."""
    split = {"_target_": "nephro_monai.data.listed_split", "cases": "@cases", "held_out": turn.names}
    chosen: dict[str, Any] = {}
    colors: dict[str, Any] = {}
    starts = {"encoder": training.start, "colorizer": _colorizer(training.colorizer)}
    for name, weights in training.pretrained.items():
        if name in options.pretrained:
            source = options.pretrained[name] or weights.source
            values = json.loads(json.dumps(dict(weights.overrides)).replace("{source}", str(source)))
            chosen |= values
            colors |= values if weights.part == "colorizer" else {}
            starts[weights.part] = weights.text
    given = _given(training, options, "train.json")
    scored = _given(training, options, "inference.json")
    blocks = {
        "training": {"seed": turn.seed, "split": split, **training.both, **training.training, **chosen, **given},
        "inference": {**training.both, **training.inference, **colors, **scored},
    }
    return blocks, starts


def _given(training: Training, options: ExperimentOptions, file: str) -> dict[str, Any]:
    """The user's values for ids of train.json or inference.json."""
    if not options.overrides:
        return {}
    training_only = file == "train.json"
    try:
        known = read_configs(
            training.bundle, (file, *training.configs_of("training" if training_only else "inference"))
        )
    except BundleError as error:
        # Configurations for train.json only, of a training whose scorer does not read inference.json.
        if training_only or not isinstance(error.__cause__, KeyError):
            raise
        return {}
    kept = frozenset() if training_only else _RUN_TIME
    return {key: v for key, v in options.overrides.items() if key in known and key.partition("#")[0] not in kept}


def _colorizer(bundle: str) -> str:
    """What the table says of the colorizer."""
    if bundle in ("", "none"):
        return {"": "", "none": "none (gray copied to three channels)"}[bundle]
    return f"{bundle}, trained on {read_metadata(bundle).get('trained_on', 'unknown data')}"


def _with_runs(value: Any, runs: Mapping[str, str]) -> Any:
    """Puts the trainings' folders in the place of "{run:NAME}"."""
    if isinstance(value, str):
        return _RUN.sub(lambda match: runs[match[1]], value)
    if isinstance(value, Mapping):
        return {key: _with_runs(inner, runs) for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [_with_runs(inner, runs) for inner in value]
    return value
