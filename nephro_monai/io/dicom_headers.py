"""DICOM files and what their headers say of place and series."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

__all__ = ["SliceHeader", "dicom_files", "holds_dicom", "read_header", "study_uid"]

_SUFFIXES = (".dcm", ".ima", ".dicom")
_TAGS = [
    "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "Modality",
    "ImageType", "Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "PixelSpacing", "ImagePositionPatient",
    "ImageOrientationPatient", "BitsAllocated",
]  # fmt: skip


@dataclass(frozen=True)
class SliceHeader:
    """What reading a series needs of one file.

    Attributes:
        path: The file.
        series: Series instance UID.
        number: Series number, -1 where absent.
        description: Series description, "" where absent.
        modality: For example "CT".
        localizer: Whether it is a scout view.
        shape: Rows and columns; zeros where it holds no image.
        samples: Values per pixel.
        frames: Images in the file.
        complete: False where the file is shorter than its uncompressed pixels, which GDCM would fill with anything.
        spacing_mm: Distance of rows and of columns; empty where absent.
        position_mm: Center of the first pixel (LPS); empty where absent.
        orientation: Direction along a row, then along a column (LPS); empty where absent.
    """

    path: Path
    series: str
    number: int
    description: str
    modality: str
    localizer: bool
    shape: tuple[int, int]
    samples: int
    frames: int
    complete: bool
    spacing_mm: tuple[float, ...]
    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]

    @property
    def normal(self) -> np.ndarray:
        """Unit vector at right angles to the slice (LPS)."""
        directions = np.asarray(self.orientation, dtype=np.float64)
        normal = np.cross(directions[:3], directions[3:])
        length = float(np.linalg.norm(normal))
        return normal / length if length else normal


def dicom_files(folder: Path, deep: bool = True) -> Iterator[Path]:
    """DICOM files of a folder, and below it if `deep`, sorted by path.

    A file counts by its "DICM" mark or, for files without one, by the suffix .dcm, .ima or .dicom. Hidden files,
    hidden folders and DICOMDIR are passed over; links to folders are not followed.
    """
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if deep else []
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith(".") and name.upper() != "DICOMDIR" and _is_dicom(path):
                yield path


def holds_dicom(folder: Path, deep: bool = True) -> bool:
    """Whether a folder (or, if `deep`, a folder below it) holds a DICOM file."""
    return next(dicom_files(folder, deep), None) is not None


def study_uid(folder: Path) -> str | None:
    """Study of the first readable DICOM file in or below a folder; None if there is none."""
    for path in dicom_files(folder):
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=["StudyInstanceUID"])
        except Exception:  # damaged: reported when the series is read
            continue
        return str(header.get("StudyInstanceUID", "")) or None
    return None


def read_header(path: Path) -> SliceHeader | None:
    """The header of one file; None if the file is damaged or no DICOM object."""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=_TAGS)
        if "SOPClassUID" not in header and "Modality" not in header:
            return None
        return _slice_header(path, header)
    except Exception:  # pydicom raises many kinds for damaged files
        return None


def _slice_header(path: Path, header: Dataset) -> SliceHeader:
    shape = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
    samples, frames = int(header.get("SamplesPerPixel") or 1), int(header.get("NumberOfFrames") or 1)
    syntax = header.file_meta.get("TransferSyntaxUID")
    pixel_bytes = shape[0] * shape[1] * samples * frames * int(header.get("BitsAllocated") or 16) // 8
    return SliceHeader(
        path=path,
        series=str(header.get("SeriesInstanceUID", "")),
        number=int(header.get("SeriesNumber") or -1),
        description=str(header.get("SeriesDescription") or ""),
        modality=str(header.get("Modality") or "unknown"),
        localizer="LOCALIZER" in [str(value).upper() for value in header.get("ImageType") or []],
        shape=shape,
        samples=samples,
        frames=frames,
        complete=(syntax is not None and syntax.is_compressed) or path.stat().st_size >= pixel_bytes,
        spacing_mm=_floats(header, "PixelSpacing", 2),
        position_mm=_floats(header, "ImagePositionPatient", 3),
        orientation=_floats(header, "ImageOrientationPatient", 6),
    )


def _floats(header: Dataset, name: str, count: int) -> tuple[float, ...]:
    values = header.get(name)
    if values is None or isinstance(values, str) or len(values) != count:
        return ()
    return tuple(float(value) for value in values)


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(128)
            marked = file.read(4) == b"DICM"
    except OSError:
        return False
    return marked or path.suffix.lower() in _SUFFIXES
