"""Reads label maps as they lie in their files, one byte per voxel."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from nephro_monai.errors import ScanError

__all__ = ["LabelMap", "read_label_map", "same_grid"]

_AFFINE_TOLERANCE = 1e-3
"""Sum of absolute differences, as KiTS23's submission check has it."""


@dataclass(frozen=True)
class LabelMap:
    """A label map on its file's own grid.

    Attributes:
        labels: (I, J, K) uint8, axes as in the file.
        affine: 4x4 voxel-to-RAS-mm matrix.
    """

    labels: np.ndarray
    affine: np.ndarray

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along the file's axes."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(i), float(j), float(k)

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000


def read_label_map(path: Path) -> LabelMap:
    """Reads a NIfTI label map of any number type; values beyond a byte become 255 or 0.

    Raises:
        ScanError: If the file is missing, broken or not three-dimensional.
    """
    try:
        image = nib.load(path)
        if not isinstance(image, nib.spatialimages.SpatialImage):
            raise ScanError(f"{path} is no volume but {type(image).__name__}; give a NIfTI label map.")
        values = np.asanyarray(image.dataobj)
    except FileNotFoundError as error:
        raise ScanError(f"There is no label map {path}.") from error
    except (OSError, EOFError, ValueError, zlib.error, nib.filebasedimages.ImageFileError) as error:
        line = " ".join(str(error).split())
        raise ScanError(f"{path} cannot be read ({line}). Make or fetch it again.") from error
    if values.ndim != 3:
        raise ScanError(f"A label map has three axes, {path} has the shape {values.shape}.")
    if values.dtype != np.uint8:
        values = np.clip(np.rint(values) if values.dtype.kind == "f" else values, 0, 255).astype(np.uint8)
    return LabelMap(values, np.asarray(image.affine, dtype=float))


def same_grid(prediction: LabelMap, truth: LabelMap) -> None:
    """Checks that two label maps lie on one grid.

    Raises:
        ScanError: If shapes or affines differ.
    """
    if prediction.labels.shape != truth.labels.shape:
        raise ScanError(
            f"The prediction has the shape {prediction.labels.shape}, the truth {truth.labels.shape}; "
            "predict on the scan that the truth was drawn on."
        )
    difference = float(np.abs(prediction.affine - truth.affine).sum())
    if not difference <= _AFFINE_TOLERANCE:
        raise ScanError(
            f"The affines of prediction and truth differ by {difference:.3g} in sum (allowed: {_AFFINE_TOLERANCE:g}); "
            "predict on the scan that the truth was drawn on."
        )
