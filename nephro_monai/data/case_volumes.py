"""Reads the volumes of training cases, a few cases at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from nephro_monai.constants import HU_RANGE
from nephro_monai.errors import TrainingDataError
from nephro_monai.io import load_label_map, load_scan

__all__ = ["cut_every_case", "read_volumes"]


def read_volumes(case: dict[str, Any], keys: Sequence[str]) -> tuple[dict[str, torch.Tensor], np.ndarray]:
    """Reads a case's scan and label volumes in R-A-S orientation.

    Args:
        case: From `list_training_cases`.
        keys: Paths to read: "image" becomes float32 HU, all others uint8. "image" must be among them.

    Returns:
        The (1, X, Y, Z) tensors by key, HU clipped to what a scanner can hold, and the (4, 4) voxel-to-mm matrix.

    Raises:
        ScanError: If a file cannot be read.
        TrainingDataError: If the volumes differ in shape.
    """
    image, _ = load_scan(case["image"])
    volumes = {"image": image.as_tensor().clamp(*HU_RANGE)}
    for key in keys:
        if key != "image":
            volumes[key] = load_label_map(case[key], allowed=None).as_tensor()
    shapes = {key: tuple(volume.shape[1:]) for key, volume in volumes.items()}
    if len(set(shapes.values())) > 1:
        raise TrainingDataError(f"{case['case']}: volumes differ in shape: {shapes}; make the case again.")
    return volumes, np.asarray(image.affine, dtype=np.float64)


def cut_every_case(
    cut: Callable[[dict[str, Any]], list[dict[str, Any]]],
    cases: Sequence[dict[str, Any]],
    what: str,
    workers: int | None = None,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """The crops of all cases in the order of the cases, cut by a few threads.

    Args:
        cut: Gives the crops of one case.
        cases: From `list_training_cases`.
        what: Named in the progress bar and in the error.
        workers: Threads; None for one per core, but at least two and at most eight.
        progress: Show a progress bar.

    Raises:
        TrainingDataError: If there are cases but none gave a crop.
    """
    workers = min(8, max(2, os.cpu_count() or 1)) if workers is None else max(1, workers)
    with ThreadPoolExecutor(workers) as pool:
        done = pool.map(cut, cases)
        crops = [crop for some in tqdm(done, f"cutting {what}", len(cases), disable=not progress) for crop in some]
    if cases and not crops:
        raise TrainingDataError(f"None of the {len(cases)} cases gave {what}; check their label maps.")
    return crops
