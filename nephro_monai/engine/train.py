"""Trains a bundle: its own `train.json`, with what the command line sets."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from nephro_monai.engine.bundles import find_bundle, instantiate, read_configs
from nephro_monai.engine.environment import resolve_device
from nephro_monai.engine.weights import verified_checksum
from nephro_monai.errors import BundleError, NephroError, OutputError, TrainingDataError, WeightsError

__all__ = ["TrainOptions", "train_bundle"]

_PRECISIONS = ("32", "bf16-mixed")


@dataclass(frozen=True)
class TrainOptions:
    """What a training run needs to know beside the bundle.

    Attributes:
        data: Folder in KiTS19 layout (`dataset_dir` of the JSON).
        out: Folder for `model.pt`, `checkpoints/` and `logs/`; None for `runs/<bundle>`.
        device: "auto", "cpu" or "cuda".
        devices: Processes, one per device (distributed training above 1).
        precision: "32" or "bf16-mixed"; None lets the bundle decide (bfloat16 where the hardware has it).
        resume: Go on from `checkpoints/last.ckpt` in `out`.
        overwrite: Start anew although `out` holds checkpoints.
        wandb: Log to Weights & Biases too (offline with WANDB_MODE=offline).
        configs: Further configurations laid over train.json, such as "full_size.json".
        overrides: New values by id.
        init: Weights to start from: "shipped" for the bundle's own, or a file as training writes it; None for none.
    """

    data: str | Path
    out: str | Path | None = None
    device: str = "auto"
    devices: int = 1
    precision: str | None = None
    resume: bool = False
    overwrite: bool = False
    wandb: bool = False
    configs: tuple[str, ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    init: str | Path | None = None


def train_bundle(bundle: str | Path, options: TrainOptions) -> Path:
    """Runs a bundle's `train.json`.

    Args:
        bundle: Name or path.
        options: See `TrainOptions`.

    Returns:
        The weights that were written, `<out>/model.pt`.

    Raises:
        BundleError: If the bundle, a configuration or an id is unknown, or an option is out of range.
        TrainingDataError: If the folder has no usable cases.
        WeightsError: If the weights to start from are missing or altered.
        OutputError: If there is nothing to resume, or a finished run would be overwritten.
    """
    root = find_bundle(bundle)
    if not (root / "configs" / "train.json").is_file():
        raise BundleError(f"{root.name} has no configs/train.json: it cannot be trained. Train the networks it uses.")
    if not Path(options.data).is_dir():
        raise TrainingDataError(f"{options.data} is no folder. Give --data a folder in KiTS19 layout (case_00000/...).")
    out = Path(options.out) if options.out is not None else Path("runs") / root.name
    settings = {**_settings(root, out, options), **options.overrides}
    parser = read_configs(root, ("train.json", *options.configs), settings)
    out.mkdir(parents=True, exist_ok=True)
    if isinstance(seed := parser.get("seed"), int):
        torch.manual_seed(seed)  # networks are made before a `run` that seeds, or by one that does not
    instantiate(parser, "run")
    return out / "model.pt"


def _settings(root: Path, out: Path, options: TrainOptions) -> dict[str, Any]:
    """Values by id that the options stand for."""
    settings: dict[str, Any] = {
        "bundle_root": str(root),
        "dataset_dir": str(options.data),
        "output_dir": str(out),
        "device": f"$torch.device('{resolve_device(options.device)}')",
        "resume_from": _checkpoint(out, options),
    }
    if options.init is not None:
        settings["initial_weights"] = str(_initial_weights(root, options))
    if options.precision is not None:
        if options.precision not in _PRECISIONS:
            raise BundleError(f"Unknown precision '{options.precision}'; give one of {', '.join(_PRECISIONS)}.")
        settings["precision"] = options.precision
    if options.devices < 1:
        raise BundleError(f"--devices must be at least 1, got {options.devices}.")
    if options.devices > 1:
        settings["train#trainer#devices"] = options.devices
        settings["train#trainer#strategy"] = _strategy(root)
    if options.wandb:
        if importlib.util.find_spec("wandb") is None:
            raise NephroError("--wandb needs the package wandb. Install nephro-monai[wandb], or leave --wandb out.")
        settings["logger"] = _loggers(root.name, out)
    return settings


def _initial_weights(root: Path, options: TrainOptions) -> Path:
    """The file that `init` names."""
    if "initial_weights" not in read_configs(root, ("train.json", *options.configs)):
        raise BundleError(
            f"{root.name} cannot start from weights: its train.json has no id initial_weights. Drop --init."
        )
    if "initial_weights" in options.overrides:
        raise BundleError("--init and --set initial_weights=... name weights twice; give one of them.")
    if str(options.init) != "shipped":
        path = Path(str(options.init))
        if not path.is_file():
            raise WeightsError(f"--init {path} is no file. Give weights as `nephro train` writes them, or shipped.")
        return path.resolve()
    path = root / "models" / "model.pt"
    if not path.is_file():
        raise WeightsError(f"{root.name} ships no weights ({path} is missing). Give --init a file, or drop it.")
    verified_checksum(path)
    return path


def _strategy(root: Path) -> str:
    """How several processes train a bundle together: what its multi_gpu_train.json says."""
    file = root / "configs" / "multi_gpu_train.json"
    content = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return str(content.get("train#trainer#strategy", "ddp"))


def _checkpoint(out: Path, options: TrainOptions) -> str | None:
    last = out / "checkpoints" / "last.ckpt"
    if options.resume:
        if not last.is_file():
            raise OutputError(f"Nothing to resume: {last} does not exist. Check --out, or train without --resume.")
        return str(last)
    if last.is_file() and not options.overwrite:
        raise OutputError(
            f"{out} holds a training run already. Give --resume to go on with it, --overwrite to start anew, "
            "or another --out."
        )
    return None


def _loggers(name: str, out: Path) -> list[dict[str, Any]]:
    offline = os.environ.get("WANDB_MODE", "online") in ("offline", "dryrun")
    return [
        {"_target_": "pytorch_lightning.loggers.CSVLogger", "save_dir": "@output_dir", "name": "logs"},
        {
            "_target_": "pytorch_lightning.loggers.WandbLogger",
            "project": "nephro_monai",
            "name": name,
            "save_dir": str(out),
            "offline": offline,
        },
    ]
