"""Tissue slabs on disk: cut once, small enough to carry to the machine that trains."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nephro_monai.data.kits19 import list_training_cases
from nephro_monai.data.tissue_slabs import SlabSettings, cut_tissue_slabs
from nephro_monai.errors import TrainingDataError
from nephro_monai.io.atomic import atomic_path

__all__ = ["TISSUE_SLABS_FILE", "load_tissue_slabs", "save_tissue_slabs", "tissue_slabs_of_folder"]

TISSUE_SLABS_FILE = "tissue_slabs.npz"


def tissue_slabs_of_folder(
    folder: str | Path, settings: SlabSettings | None = None, workers: int | None = None, progress: bool = True
) -> list[dict[str, Any]]:
    """The slabs of a folder: from its `tissue_slabs.npz` if it has one, otherwise cut from its cases.

    Args:
        folder: Holds `tissue_slabs.npz`, or cases in KiTS19 layout with `tissues.nii.gz`.
        settings: How to cut, and what stored slabs must be: their spacing, size, number of slices and center. How many
            there are and where was decided when they were cut.
        workers: Threads that cut; None for one per core.
        progress: Show a progress bar.

    Raises:
        TrainingDataError: If there is neither, or the stored slabs are other ones than the settings ask for.
    """
    settings = settings or SlabSettings()
    stored = Path(folder) / TISSUE_SLABS_FILE
    if stored.is_file():
        return load_tissue_slabs(stored, settings)
    cases = list_training_cases(folder, require=("segmentation", "tissues"))
    return cut_tissue_slabs(cases, settings, workers, progress)


def save_tissue_slabs(path: str | Path, slabs: Sequence[dict[str, Any]], settings: SlabSettings) -> None:
    """Writes slabs into one compressed .npz file without pickle, whole or not at all.

    Args:
        path: For example `DIR/tissue_slabs.npz`.
        slabs: From `cut_tissue_slabs`.
        settings: They were cut with.

    Raises:
        OutputError: If it cannot be written.
        ValueError: If there are no slabs.
    """
    if not slabs:
        raise ValueError("There are no slabs to save.")
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            allow_pickle=False,
            tissues=np.stack([slab["tissues"].numpy() for slab in slabs]),
            case=np.array([slab["case"] for slab in slabs]),
            patient=np.array([slab["patient"] for slab in slabs]),
            spacing_mm=np.asarray(settings.spacing_mm, dtype=np.float64),
            center=np.array(settings.center),
        )


def load_tissue_slabs(path: str | Path, settings: SlabSettings | None = None) -> list[dict[str, Any]]:
    """Reads what `save_tissue_slabs` wrote.

    Args:
        path: The .npz file.
        settings: What spacing, size, slices and center must be; None for any.

    Returns:
        Slabs as `cut_tissue_slabs` gives them.

    Raises:
        TrainingDataError: If the file cannot be read or holds other slabs.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            tissues = torch.from_numpy(stored["tissues"])
            names = zip(stored["case"].tolist(), stored["patient"].tolist(), strict=True)
            spacing, center = tuple(float(s) for s in stored["spacing_mm"]), str(stored["center"])
        slabs = [
            {"tissues": slab, "patient": patient, "case": case, "meta": {"filename_or_obj": case}}
            for slab, (case, patient) in zip(tissues, names, strict=True)
        ]
    except (OSError, ValueError, KeyError, TypeError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise TrainingDataError(
            f"{path} holds no tissue slabs ({error!r}); write it with save_tissue_slabs."
        ) from error
    if settings is not None:
        _check(path, settings, (spacing, tuple(tissues.shape[2:]), center))
    return slabs


def _check(path: str | Path, settings: SlabSettings, have: tuple[Any, ...]) -> None:
    want = (settings.spacing_mm, (settings.size, settings.size, settings.slices), settings.center)
    if not np.allclose(have[0], want[0]) or have[1:] != want[1:]:
        raise TrainingDataError(
            f"{path} holds slabs of {have[1]} voxels at {have[0]} mm around each {have[2]}, wanted are {want[1]} at "
            f"{tuple(want[0])} mm around each {want[2]}; cut them anew with these settings."
        )
