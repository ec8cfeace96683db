"""Computes the slice statistics that a bundle's network takes in with its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from nephro_monai.engine.bundles import find_bundle, instantiate, read_configs
from nephro_monai.errors import BundleError, TrainingDataError
from nephro_monai.io.atomic import atomic_path

__all__ = ["write_slice_statistics"]


def write_slice_statistics(
    bundle: str | Path,
    data: Path,
    out: Path,
    configs: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
) -> Path:
    """Writes the mean and the standard-deviation slice of a bundle's training set, the id `statistics` of train.json.

    The slices, their grid and the split by patient are those of the training, so that nothing of the validation cases
    gets into them.

    Args:
        bundle: Name or path.
        data: Folder in KiTS19 layout.
        out: File to write: `mean` and `deviation`, (1, rows, columns) in HU, as `torch.save` writes a dictionary.
        configs: Further configurations laid over train.json, such as "full_size.json".
        overrides: New values by id.

    Returns:
        `out`.

    Raises:
        BundleError: If the bundle's training has no slice statistics, or a configuration is unknown.
        TrainingDataError: If the folder has no usable cases.
    """
    root = find_bundle(bundle)
    if not (root / "configs" / "train.json").is_file():
        raise BundleError(f"{root.name} has no configs/train.json, so no training set to compute statistics of.")
    if not data.is_dir():
        raise TrainingDataError(f"{data} is no folder. Give --data a folder in KiTS19 layout (case_00000/...).")
    settings = {"bundle_root": str(root), "dataset_dir": str(data), **(overrides or {})}
    parser = read_configs(root, ("train.json", *configs), settings)
    if "statistics" not in parser:
        raise BundleError(f"{root.name} is trained without slice statistics: its train.json has no id 'statistics'.")
    found = instantiate(parser, "statistics")
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(out) as temporary:
        torch.save({"mean": found.mean, "deviation": found.deviation}, temporary)
    return out
