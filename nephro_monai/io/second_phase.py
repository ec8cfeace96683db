"""A second contrast phase of the same patient, registered to the first."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from nephro_monai.errors import ScanError
from nephro_monai.io.load_scan import load_scan

__all__ = ["LoadSecondPhased", "MissingPhase", "load_second_phase", "second_phase_path"]

MissingPhase = Literal["error", "repeat"]
"""What happens where there is no second phase: an error, or the first one stands for it."""

_LARGEST_SHIFT_MM = 0.1
_SUFFIX = re.compile(r"\.(nii|nii\.gz|mha|mhd|nrrd|nhdr)$", re.IGNORECASE)


class LoadSecondPhased(MapTransform):
    """Reads the second phase that lies beside a scan; put it after `LoadScand`.

    Beside `imaging.nii.gz` it is `imaging_excretory.nii.gz`. Both must be registered: on one grid.

    Adds to the case dictionary:
        second_image: MetaTensor float32 (1, X, Y, Z) in HU on the image's grid.

    Changes:
        scan: gets a note where the first phase stands for the missing second one.
    """

    def __init__(
        self,
        keys: KeysCollection = "image",
        output_key: str = "second_image",
        scan_key: str = "scan",
        phase: str = "excretory",
        missing: MissingPhase = "error",
    ) -> None:
        """Sets which phase is read.

        Args:
            keys: Where the first phase is (one key).
            output_key: Where the second one goes.
            scan_key: Where the `structures.Scan` is.
            phase: Its name in the file's name.
            missing: "error" refuses cases without it, "repeat" takes the first phase twice.

        Raises:
            ValueError: If more than one key is given or `missing` is something else.
        """
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"LoadSecondPhased reads one second phase per case, got the keys {self.keys}.")
        _check_missing(missing)
        self.output_key = output_key
        self.scan_key = scan_key
        self.phase = phase
        self.missing: MissingPhase = missing

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns the case with its second phase.

        Raises:
            ScanError: If there is none and none may be missing, or it lies on another grid.
        """
        case = dict(data)
        image, scan = case[self.keys[0]], case[self.scan_key]
        case[self.output_key] = load_second_phase(scan.path, image, self.phase, self.missing)
        if case[self.output_key] is image:
            note = f"There is no {self.phase} phase: the scan itself stood for it."
            case[self.scan_key] = replace(scan, notes=(*scan.notes, note))
        return case


def second_phase_path(scan: str | Path, phase: str) -> Path:
    """Where the second phase of a scan is looked for: `a_excretory.nii.gz` beside `a.nii.gz`, folders likewise."""
    path = Path(scan)
    stem = _SUFFIX.sub("", path.name)
    return path.with_name(f"{stem}_{phase}{path.name[len(stem) :]}")


def load_second_phase(
    scan: str | Path, image: MetaTensor, phase: str = "excretory", missing: MissingPhase = "error"
) -> MetaTensor:
    """The second phase of a scan that was read already.

    Args:
        scan: Path of the first phase.
        image: The first phase, from `load_scan`.
        phase: Name of the second one.
        missing: See `MissingPhase`.

    Returns:
        MetaTensor float32 (1, X, Y, Z) in HU; `image` itself where it stands for a missing one.

    Raises:
        ScanError: If there is none and none may be missing, or it lies on another grid.
    """
    _check_missing(missing)
    path = second_phase_path(scan, phase)
    if not path.exists():
        if missing == "repeat":
            return image
        raise ScanError(
            f"{path}: the {phase} phase is missing, and this network wants two; put it there, registered to "
            f"{Path(scan).name}, or ask for the first phase to be repeated (missing: repeat)."
        )
    second, _ = load_scan(path)
    corners = np.array([[0, 0, 0, 1], [*second.shape[1:], 1]], dtype=float).T
    shapes = tuple(image.shape[1:]), tuple(second.shape[1:])
    if shapes[0] != shapes[1] or np.abs((image.affine - second.affine).numpy() @ corners).max() > _LARGEST_SHIFT_MM:
        raise ScanError(
            f"{path}: {shapes[1]} voxels, not on the grid of {Path(scan).name} ({shapes[0]} voxels); register and "
            "resample it to that scan first."
        )
    return second


def _check_missing(missing: str) -> None:
    if missing not in ("error", "repeat"):
        raise ValueError(f'missing must be "error" or "repeat", got {missing!r}.')
