"""Reads label maps as they lie in their files, one byte per voxel."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from nephro_monai.constants import LABEL_NAMES
from nephro_monai.errors import ScanError

__all__ = ["AFFINE_TOLERANCE", "LabelMap", "affine_difference", "crop_pair", "read_grid", "read_label_map", "same_grid"]

AFFINE_TOLERANCE = 1e-3
"""Sum of absolute differences, as KiTS23's submission check has it."""

_UNREADABLE = (
    OSError, EOFError, ValueError, OverflowError, MemoryError, struct.error, zlib.error,
    nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError, nib.wrapstruct.WrapStructError,
)  # fmt: skip


@dataclass(frozen=True)
class LabelMap:
    """A label map on its file's own grid.

    Attributes:
        labels: (I, J, K) uint8, axes as in the file.
        affine: 4x4 voxel-to-RAS-mm matrix.
        notes: What was changed to read it so, in sentences.
        dtype: Number type in the file.
    """

    labels: np.ndarray
    affine: np.ndarray
    notes: tuple[str, ...] = ()
    dtype: str = "uint8"

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along the file's axes."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(i), float(j), float(k)

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000

    @property
    def axial_axis(self) -> int:
        """The file's axis that runs along the patient."""
        return int(np.argmax(np.abs(self.affine[2, :3]) / np.linalg.norm(self.affine[:3, :3], axis=0)))

    def unknown_labels(self) -> dict[int, int]:
        """Voxels by label, of the labels that are neither background, kidney nor tumor."""
        counts = np.bincount(self.labels[self.labels > max(LABEL_NAMES)])
        return {int(label): int(counts[label]) for label in np.flatnonzero(counts)}


def read_label_map(path: Path) -> LabelMap:
    """Reads a NIfTI label map of any number type as the challenge's script does.

    Floats are rounded; a fourth axis holds scores of the classes, of which the largest wins (an axis of length one is
    dropped). Values beyond a byte become 255 or 0. Compressed files are read to their end, so that their checksum is
    compared.

    Raises:
        ScanError: If the file is missing, broken, not of gray values, or has another number of axes.
    """
    with _explained(path):
        image = _load(path)
        if not isinstance(image, nib.spatialimages.SpatialImage):
            raise ScanError(f"{path} is no volume but {type(image).__name__}; give a NIfTI label map.")
        values = np.asanyarray(image.dataobj)
    if values.dtype.kind not in "biuf":
        raise ScanError(f"{path} holds {values.dtype.name} values; a label map holds whole numbers. Write uint8.")
    values, notes = _three_axes(values, path)
    values, rounded = _bytes(values, path)
    affine = _checked(np.asarray(image.affine, dtype=float), path)
    return LabelMap(values, affine, (*notes, *rounded), image.get_data_dtype().name)


def read_grid(path: Path) -> tuple[tuple[int, ...], np.ndarray, np.dtype]:
    """Shape, affine and number type of a NIfTI file, from its header alone.

    Raises:
        ScanError: If the file is missing or its header broken.
    """
    with _explained(path):
        image: Any = nib.load(path)
        return tuple(image.shape), np.asarray(image.affine, float), image.get_data_dtype()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """What nibabel and gzip raise, as one line."""
    try:
        yield
    except FileNotFoundError as error:
        raise ScanError(f"There is no file {path}.") from error
    except ScanError:
        raise
    except _UNREADABLE as error:
        line = " ".join(str(error).split()) or type(error).__name__
        raise ScanError(f"{path} cannot be read ({line}). Make or fetch it again.") from error


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
    difference = affine_difference(prediction.affine, truth.affine)
    if not difference <= AFFINE_TOLERANCE:
        raise ScanError(
            f"The affines of prediction and truth differ by {difference:.3g} in sum (allowed: {AFFINE_TOLERANCE:g}); "
            "predict on the scan that the truth was drawn on."
        )


def affine_difference(a: np.ndarray, b: np.ndarray) -> float:
    """Sum of the absolute differences of two 4x4 matrices."""
    return float(np.abs(np.asarray(a, float) - np.asarray(b, float)).sum())


def crop_pair(prediction: LabelMap, truth: LabelMap) -> tuple[LabelMap, LabelMap, tuple[int, int, int]]:
    """Both label maps in the box around all that either labels, so that what follows costs little.

    Returns:
        The cropped maps (one voxel, if nothing is labeled) and the corner of the box on the whole grid. The affines
        stay those of the whole grid.
    """
    box = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        line = np.flatnonzero(prediction.labels.any(axis=others) | truth.labels.any(axis=others))
        box.append(slice(int(line[0]), int(line[-1]) + 1) if len(line) else slice(0, 1))
    cropped = [replace(m, labels=np.ascontiguousarray(m.labels[tuple(box)])) for m in (prediction, truth)]
    return cropped[0], cropped[1], (box[0].start, box[1].start, box[2].start)


def _load(path: Path) -> Any:
    """Reads a compressed file to its end; nibabel stops at the last voxel, before the checksum."""
    if not path.name.lower().endswith(".gz"):
        return nib.load(path)
    content = gzip.decompress(path.read_bytes())
    sizes = struct.unpack("<i", content[:4]) + struct.unpack(">i", content[:4])
    kind = nib.Nifti2Image if 540 in sizes else nib.Nifti1Image
    return kind.from_bytes(content)


def _three_axes(values: np.ndarray, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    if values.ndim == 4 and values.shape[3] > 1:
        return values.argmax(axis=3), ("Its fourth axis was taken for class scores; the largest wins.",)
    if values.ndim == 4:
        values = values[..., 0]
    if values.ndim != 3:
        raise ScanError(f"A label map has three axes, {path} has the shape {values.shape}.")
    return values, ()


def _checked(affine: np.ndarray, path: Path) -> np.ndarray:
    if not np.isfinite(affine).all() or not abs(np.linalg.det(affine[:3, :3])) > 0:
        raise ScanError(f"{path} has an affine without a volume; write it with the affine of its scan.")
    return affine


def _bytes(values: np.ndarray, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    if values.dtype == np.uint8:
        return values, ()
    notes: tuple[str, ...] = ()
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise ScanError(f"{path} holds NaN or infinite values; a label map holds whole numbers. Write uint8.")
        whole = np.rint(values)
        if (whole != values).any():
            notes = ("Its values are no whole numbers and were rounded.",)
        values = whole
    return np.clip(values, 0, 255).astype(np.uint8), notes
