"""Crops of tissue maps around kidneys at the working spacing: the anatomies that CT is synthesized around."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nephro_monai.constants import LABEL_NAMES
from nephro_monai.data.case_volumes import cut_every_case
from nephro_monai.data.kidney_crops import CropSettings, box_without_kidney, fill_window, pad_crop, some_indices
from nephro_monai.data.kits19 import list_training_cases
from nephro_monai.errors import TrainingDataError
from nephro_monai.geometry import find_components, resampled_shape
from nephro_monai.io import load_label_map
from nephro_monai.io.atomic import atomic_path

__all__ = [
    "TISSUE_CROPS_FILE",
    "cut_tissue_crops",
    "load_tissue_crops",
    "read_tissue_map",
    "save_tissue_crops",
    "tissue_crops_of_folder",
]

TISSUE_CROPS_FILE = "tissue_crops.npz"
_MOST_SAMPLES_PER_AXIS = 3


def tissue_crops_of_folder(
    folder: str | Path, settings: CropSettings | None = None, workers: int | None = None, progress: bool = True
) -> list[dict[str, Any]]:
    """The crops of a folder: from its `tissue_crops.npz` if it has one, otherwise cut from its cases.

    Args:
        folder: Holds `tissue_crops.npz`, or cases in KiTS19 layout with `tissues.nii.gz`.
        settings: How to cut, and the spacing and the least shape that stored crops must have.
        workers: Threads that cut; None for one per core.
        progress: Show a progress bar.

    Raises:
        TrainingDataError: If there is neither, or the stored crops have another spacing or are too small.
    """
    settings = settings or CropSettings()
    stored = Path(folder) / TISSUE_CROPS_FILE
    if stored.is_file():
        crops = load_tissue_crops(stored, settings.spacing_mm)
        least = tuple(min(crop["tissues"].shape[axis] for crop in crops) for axis in (1, 2, 3))
        if any(have < want for have, want in zip(least, settings.minimum_shape, strict=True)):
            raise TrainingDataError(
                f"{stored} holds crops of down to {least} voxels, wanted are at least {tuple(settings.minimum_shape)}; "
                "cut them anew with this minimum_shape, or train on smaller patches (patch_context)."
            )
        return crops
    cases = list_training_cases(folder, require=("segmentation", "tissues"))
    return cut_tissue_crops(cases, settings, workers, progress)


def cut_tissue_crops(
    cases: Sequence[dict[str, Any]],
    settings: CropSettings | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Crops of all cases, as `cut_kidney_crops` cuts scans; about 0.3 MB each.

    Args:
        cases: From `list_training_cases`, with `label` and `tissues` paths.
        settings: How to cut.
        workers: Threads that read and resample; None for one per core (2 to 8).
        progress: Show a progress bar.

    Returns:
        One dictionary per crop: `tissues` uint8 (1, X, Y, Z), `label_of_tissue` uint8 (256,), `label_cls_indices` (for
        `RandCropByLabelClassesd`), `case` and `patient`.

    Raises:
        TrainingDataError: If no case has a kidney, or tissues and segmentation of a case contradict each other.
    """
    return cut_every_case(partial(_crops_of_case, settings or CropSettings()), cases, "tissue maps", workers, progress)


def _crops_of_case(settings: CropSettings, case: dict[str, Any]) -> list[dict[str, Any]]:
    tissues, label, table, affine = read_tissue_map(case)
    spacing = tuple(float(s) for s in np.linalg.norm(affine[:3, :3], axis=0))
    smallest = settings.smallest_kidney_ml * 1000.0 / float(np.prod(spacing))
    kidneys = find_components(label.numpy(), min_voxels=smallest)
    if kidneys is None:
        return []
    x, y, z = (round(settings.margin_mm / s) for s in spacing)
    shape = (label.shape[0], label.shape[1], label.shape[2])
    boxes = [box.expanded((x, y, z), shape) for box in kidneys.boxes]
    rng = np.random.default_rng((settings.seed, *case["case"].encode()))
    body = torch.where(tissues > 0, 0.0, -1000.0)
    for like in kidneys.boxes:
        empty = box_without_kidney(body, label, like, rng) if rng.random() < settings.negative_share else None
        boxes += [empty] if empty is not None else []
    crops = []
    for box in (fill_window(box, shape, spacing, settings) for box in boxes):
        nx, ny, nz = resampled_shape(box.shape, spacing, settings.spacing_mm)
        crop = pad_crop(_most_common(tissues[box.slices], (nx, ny, nz))[None], settings.minimum_shape)
        crops.append(_item(crop, table, case["case"], str(case.get("patient") or case["case"])))
    return crops


def read_tissue_map(case: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, np.ndarray, np.ndarray]:
    """Reads the tissues and labels of a case in R-A-S orientation.

    Args:
        case: From `list_training_cases`, with `label` and `tissues` paths.

    Returns:
        Tissue ids and labels, both uint8 (X, Y, Z); the label of every tissue id, uint8 (256,); and the (4, 4)
        voxel-to-mm matrix.

    Raises:
        TrainingDataError: If tissues and segmentation contradict each other.
    """
    read = load_label_map(case["tissues"], allowed=None)
    tissues = read.as_tensor()[0].to(torch.uint8)
    label = load_label_map(case["label"], allowed=None).as_tensor()[0].to(torch.uint8)
    return tissues, label, _label_of_tissue(tissues, label, case["case"]), np.asarray(read.affine, dtype=np.float64)


def _item(tissues: torch.Tensor, table: np.ndarray, case: str, patient: str) -> dict[str, Any]:
    labels = torch.from_numpy(table)[tissues.long()]
    return {
        "tissues": tissues,
        "label_of_tissue": table,
        "label_cls_indices": [some_indices(labels, value) for value in LABEL_NAMES],
        "case": case,
        "patient": patient,
    }


def _label_of_tissue(tissues: torch.Tensor, label: torch.Tensor, case: str) -> np.ndarray:
    """The label that a case gives each tissue id."""
    if tissues.shape != label.shape:
        raise TrainingDataError(
            f"{case}: tissues {tuple(tissues.shape)} and segmentation {tuple(label.shape)} differ in shape; make the "
            "case again."
        )
    pairs = torch.bincount(tissues.flatten().long() * 256 + label.flatten(), minlength=65536).reshape(256, 256)
    if int((pairs > 0).sum(1).max()) > 1:
        raise TrainingDataError(f"{case}: a tissue has several labels in its segmentation; make the case again.")
    return pairs.argmax(1).to(torch.uint8).numpy()


def _most_common(ids: torch.Tensor, target: tuple[int, int, int]) -> torch.Tensor:
    """The id that fills most of each voxel of a new grid, by up to 3 samples along each axis (X, Y, Z)."""
    counts = [min(_MOST_SAMPLES_PER_AXIS, math.ceil(n / t)) for n, t in zip(ids.shape, target, strict=True)]
    for axis, (n, t, k) in enumerate(zip(ids.shape, target, counts, strict=True)):
        place = (torch.arange(t * k, dtype=torch.float64) + 0.5) * (n / (t * k))
        ids = ids.index_select(axis, place.long().clamp(max=n - 1))
    if counts == [1, 1, 1]:
        return ids
    blocks = ids.reshape(*(size for pair in zip(target, counts, strict=True) for size in pair))
    return blocks.permute(0, 2, 4, 1, 3, 5).reshape(*target, -1).mode(-1).values


def save_tissue_crops(path: str | Path, crops: Sequence[dict[str, Any]], spacing_mm: Sequence[float]) -> None:
    """Writes crops into one compressed .npz file without pickle, whole or not at all.

    Args:
        path: For example `DIR/tissue_crops.npz`.
        crops: From `cut_tissue_crops`.
        spacing_mm: Their spacing along x, y, z.

    Raises:
        OutputError: If it cannot be written.
        ValueError: If there are no crops.
    """
    if not crops:
        raise ValueError("There are no crops to save.")
    arrays: dict[str, Any] = {f"tissues_{i:05d}": crop["tissues"].numpy() for i, crop in enumerate(crops)}
    arrays["label_of_tissue"] = np.stack([crop["label_of_tissue"] for crop in crops])
    arrays["case"] = np.array([crop["case"] for crop in crops])
    arrays["patient"] = np.array([crop["patient"] for crop in crops])
    arrays["spacing_mm"] = np.asarray(spacing_mm, dtype=np.float64)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def load_tissue_crops(path: str | Path, spacing_mm: Sequence[float] | None = None) -> list[dict[str, Any]]:
    """Reads what `save_tissue_crops` wrote.

    Args:
        path: The .npz file.
        spacing_mm: What the spacing must be; None for any.

    Raises:
        TrainingDataError: If the file cannot be read, holds something else or crops of another spacing.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        spacing = [float(s) for s in arrays["spacing_mm"]]
        names = zip(arrays["label_of_tissue"], arrays["case"].tolist(), arrays["patient"].tolist(), strict=True)
        crops = [
            _item(torch.from_numpy(arrays[f"tissues_{i:05d}"]), table, case, patient)
            for i, (table, case, patient) in enumerate(names)
        ]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise TrainingDataError(
            f"{path} holds no tissue crops ({error!r}); write it with save_tissue_crops."
        ) from error
    if spacing_mm is not None and not np.allclose(spacing, spacing_mm):
        raise TrainingDataError(
            f"{path} holds crops at {spacing} mm, wanted are {list(spacing_mm)} mm; cut them anew with this spacing."
        )
    return crops
