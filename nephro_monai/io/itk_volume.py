"""MetaImage and NRRD files through ITK (its SimpleITK binding, which loads in half a second)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK

from nephro_monai.errors import ScanError
from nephro_monai.io.volume import RawVolume, check_affine, scan_format

__all__ = ["itk_reason", "lps_to_ras", "quiet_itk", "read_itk_volume"]

_COMPLEX = (SimpleITK.sitkComplexFloat32, SimpleITK.sitkComplexFloat64)


def read_itk_volume(path: str | Path) -> RawVolume:
    """Reads a MetaImage (`.mha`, `.mhd`) or NRRD (`.nrrd`, `.nhdr`) file.

    Args:
        path: The file.

    Returns:
        The volume along the file's own axes, affine turned from ITK's LPS to RAS.

    Raises:
        ScanError: If the file is empty, damaged, not a 3-D gray volume, or its geometry is impossible.
    """
    file = Path(path)
    try:
        if file.stat().st_size == 0:
            raise ScanError(f"{file}: the file is empty; copy or download it again.")
    except OSError as error:
        raise ScanError(f"{file}: cannot be opened ({error.strerror}); check the path and its rights.") from error
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(file))
    try:
        with quiet_itk():
            reader.ReadImageInformation()
    except RuntimeError as error:
        raise ScanError(f"{file}: the header cannot be read ({itk_reason(error)}); export the scan again.") from error
    notes = _checked_kind(reader, file)
    affine = _ras_affine(reader)
    check_affine(affine, file)
    size = reader.GetSize()
    reader.SetExtractSize((*size[:3], *(0 for _ in size[3:])))
    reader.SetOutputPixelType(SimpleITK.sitkFloat32)
    try:
        with quiet_itk():
            image = reader.Execute()
    except RuntimeError as error:
        beside = " or its data file is missing" if file.suffix.lower() in (".mhd", ".nhdr") else ""
        raise ScanError(
            f"{file}: the voxel data are truncated or damaged{beside}; copy or export the scan again."
        ) from error
    array = SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0)
    return RawVolume(array, affine, scan_format(file) or "metaimage", notes)


def lps_to_ras(affine: np.ndarray) -> np.ndarray:
    """A voxel-to-world matrix of DICOM's and ITK's axes (left, posterior, superior) for NIfTI's (right, anterior)."""
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def itk_reason(error: Exception) -> str:
    """The last, telling line of ITK's many."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (
        re.sub(r"^(ITK ERROR: |sitk::ERROR: )?(\w+\(0x\w+\): )?", "", lines[-1])[:160]
        if lines
        else type(error).__name__
    )


@contextmanager
def quiet_itk() -> Iterator[None]:
    """Keeps ITK's own warnings off the terminal; what matters is reported as an error or a note."""
    before = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(before)


def _checked_kind(reader: SimpleITK.ImageFileReader, file: Path) -> tuple[str, ...]:
    if reader.GetNumberOfComponents() > 1 or reader.GetPixelID() in _COMPLEX:
        raise ScanError(
            f"{file}: a voxel holds {max(2, reader.GetNumberOfComponents())} values (color, vector or complex); "
            "allowed are gray values; give the original CT."
        )
    size = reader.GetSize()
    if len(size) < 3:
        raise ScanError(f"{file}: is {len(size)}-D {tuple(size)}; a 3-D volume is needed; give the whole scan.")
    if max(size[3:], default=1) > 1:
        raise ScanError(
            f"{file}: is {len(size)}-D {tuple(size)}; a 3-D volume is needed; split it and give one volume per file."
        )
    notes = []
    if len(size) > 3:
        notes.append(f"Trailing axes of length one were dropped from the shape {tuple(size)}.")
    if scan_format(file) == "nrrd" and not reader.HasMetaDataKey("NRRD_space"):
        notes.append("The NRRD header names no space: sides and orientation are assumed (LPS), not known.")
    return tuple(notes)


def _ras_affine(reader: SimpleITK.ImageFileReader) -> np.ndarray:
    """Checked before the voxels are read, since ITK refuses impossible geometry in words of its own."""
    axes = len(reader.GetSize())
    affine = np.eye(4)
    directions = np.reshape(reader.GetDirection(), (axes, axes))[:3, :3]
    affine[:3, :3] = directions * np.asarray(reader.GetSpacing()[:3])
    affine[:3, 3] = reader.GetOrigin()[:3]
    return lps_to_ras(affine)
