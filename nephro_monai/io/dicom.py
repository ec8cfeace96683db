"""DICOM series: which one, whether its slices make a volume, and the volume."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK

from nephro_monai.errors import ScanError
from nephro_monai.io.dicom_headers import SliceHeader, dicom_files, read_header
from nephro_monai.io.itk_volume import itk_reason, lps_to_ras, quiet_itk
from nephro_monai.io.volume import MAX_SHEAR_COSINE, RawVolume, check_affine

__all__ = ["read_dicom_series"]

_AXIAL_COSINE = 0.8
_SAME_PLACE_MM = 0.01
_STEP_TOLERANCE = 0.1
_SIDEWAYS_MM = 0.5


def read_dicom_series(folder: str | Path) -> RawVolume:
    """Reads the largest axial CT series in a folder and its subfolders.

    Scout views and objects without an image are passed over. Slices are ordered by ImagePositionPatient along their
    normal, never by name or number; GDCM (through ITK) decodes them, compressed ones included, and applies rescale
    slope and intercept, slice by slice. The choice among several series is noted.

    Args:
        folder: The folder.

    Returns:
        The volume: columns, rows, slices; affine turned from DICOM's LPS to RAS.

    Raises:
        ScanError: If there is no axial CT series, or the chosen one has missing, doubled or shifted slices, a gantry
            tilt, or slices that differ in size or cannot be decoded. Nothing is guessed or filled in.
    """
    place = Path(folder)
    headers, notes = _headers(place)
    series, choice = _largest_axial_ct(headers, place)
    slices = _ordered(series, place)
    affine = _checked_affine(slices, place)
    return RawVolume(_read_pixels(slices), affine, "dicom", (*notes, *choice))


def _headers(folder: Path) -> tuple[list[SliceHeader], tuple[str, ...]]:
    files = list(dicom_files(folder))
    if not files:
        raise ScanError(f"{folder}: holds no DICOM file; give the folder of a CT series, or a scan file.")
    read = [read_header(path) for path in files]
    headers = [header for header in read if header is not None]
    damaged = len(read) - len(headers)
    if not headers:
        raise ScanError(f"{folder}: none of the {damaged} DICOM files can be read; copy or export them again.")
    return headers, (f"{damaged} damaged DICOM files were passed over.",) if damaged else ()


def _largest_axial_ct(headers: Sequence[SliceHeader], folder: Path) -> tuple[list[SliceHeader], tuple[str, ...]]:
    images = [header for header in headers if min(header.shape) > 0]
    kinds = Counter(header.modality for header in (images or headers))
    found = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    if not images:
        raise ScanError(f"{folder}: holds no DICOM image (only {found} objects); give the folder of a CT series.")
    scans = [header for header in images if header.modality == "CT" and not header.localizer]
    if not scans:
        what = "only CT scout views" if "CT" in kinds else f"images of modality {found}"
        raise ScanError(f"{folder}: holds no CT series ({what}); give the folder of a CT series.")
    if any(header.frames > 1 for header in scans):
        raise ScanError(
            f"{folder}: holds CT files with many frames each (enhanced CT); only one slice per file is read; "
            "convert the series to NIfTI first."
        )
    series: dict[tuple, list[SliceHeader]] = defaultdict(list)
    for header in scans:
        if header.orientation and abs(header.normal[2]) >= _AXIAL_COSINE:
            series[header.series, *_plane(header)].append(header)
    if not series:
        raise ScanError(
            f"{folder}: holds no axial CT series ({len(scans)} slices without orientation, or sagittal or coronal); "
            "give an axial series."
        )
    ranked = sorted(series.values(), key=lambda group: (-len(group), group[0].number, group[0].series))
    if len(ranked) == 1:
        return ranked[0], ()
    others = "; ".join(_described(group) for group in ranked[1:5]) + ("; ..." if len(ranked) > 5 else "")
    return ranked[0], (
        f"Of {len(ranked)} axial CT series the largest was read: {_described(ranked[0])}; not: {others}.",
    )


def _plane(header: SliceHeader) -> tuple:
    """Tells apart the stacks of one series that differ in direction or size."""
    return (*(np.round(header.normal, 1) + 0.0).tolist(), *header.shape)


def _described(group: Sequence[SliceHeader]) -> str:
    first = group[0]
    name = f" ({' '.join(first.description.split())[:60]})" if first.description else ""
    return f"series {first.number}{name} with {len(group)} slices"


def _ordered(series: Sequence[SliceHeader], folder: Path) -> list[SliceHeader]:
    """The slices from one end to the other, all of one size and color depth, each with its place."""
    first = series[0]
    if any(not header.position_mm or not header.spacing_mm for header in series):
        raise ScanError(f"{folder}: {_described(series)} lacks positions or pixel spacing; export the series again.")
    if any(header.samples != 1 for header in series):
        raise ScanError(f"{folder}: {_described(series)} holds color images; give the original CT.")
    short = [header.path.name for header in series if not header.complete]
    if short:
        raise ScanError(
            f"{folder}: {len(short)} slices hold fewer pixels than they should ({short[0]}); copy or export the series "
            "again."
        )
    for header in series:
        if not np.allclose(header.spacing_mm, first.spacing_mm, rtol=1e-3) or not np.allclose(
            header.orientation, first.orientation, atol=1e-3
        ):
            raise ScanError(
                f"{folder}: the slices of {_described(series)} differ in pixel spacing or direction "
                f"({header.path.name}); put the slices of one scan in a folder of their own."
            )
    if len(series) < 2:
        raise ScanError(f"{folder}: {_described(series)} has a single slice; give the whole series.")
    return sorted(series, key=lambda header: float(np.dot(header.position_mm, first.normal)))


def _checked_affine(slices: Sequence[SliceHeader], folder: Path) -> np.ndarray:
    """Voxel-to-RAS matrix of slices at even distances, straight above each other."""
    first = slices[0]
    normal = first.normal
    positions = np.array([header.position_mm for header in slices])
    heights = positions @ normal
    _check_steps(np.diff(heights), positions[:, 2], folder)
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    sine = float(np.linalg.norm(np.cross(step, normal)) / np.linalg.norm(step))
    if sine > MAX_SHEAR_COSINE:
        raise ScanError(
            f"{folder}: the slices are tilted by {np.degrees(np.arcsin(min(1.0, sine))):.1f} degrees against the "
            "scan's direction (gantry tilt); resample the series to a rectangular grid first."
        )
    even = positions[0] + np.outer(np.arange(len(slices)), step)
    sideways = np.linalg.norm((positions - even) - np.outer((positions - even) @ normal, normal), axis=1).max()
    if sideways > _SIDEWAYS_MM:
        raise ScanError(
            f"{folder}: slices are shifted sideways by up to {sideways:.1f} mm; put the slices of one scan in a folder "
            "of their own."
        )
    rows_mm, columns_mm = first.spacing_mm
    directions = np.asarray(first.orientation)
    affine = np.eye(4)
    affine[:3, 0] = directions[:3] * columns_mm
    affine[:3, 1] = directions[3:] * rows_mm
    affine[:3, 2] = step
    affine[:3, 3] = positions[0]
    affine = lps_to_ras(affine)
    check_affine(affine, folder)
    return affine


def _check_steps(steps: np.ndarray, z_mm: np.ndarray, folder: Path) -> None:
    doubled = int((steps < _SAME_PLACE_MM).sum())
    if doubled:
        raise ScanError(
            f"{folder}: {doubled} slice positions occur more than once (several phases or copies in one series); "
            "put the slices of one scan in a folder of their own."
        )
    usual = float(np.median(steps))
    odd = np.flatnonzero(np.abs(steps - usual) > max(_STEP_TOLERANCE, _STEP_TOLERANCE * usual))
    if not len(odd):
        return
    at = int(odd[np.argmax(steps[odd])])
    between = f"between z {z_mm[at]:.1f} and {z_mm[at + 1]:.1f} mm"
    lost = int(np.rint(steps / usual - 1).clip(min=0).sum())
    if lost and np.abs(steps / usual - np.rint(steps / usual)).max() < 0.25:
        raise ScanError(
            f"{folder}: {lost} slice{'s are' if lost > 1 else ' is'} missing ({steps[at]:.1f} mm {between}, elsewhere "
            f"{usual:.1f} mm); export the complete series again."
        )
    raise ScanError(
        f"{folder}: the slice distance varies from {steps.min():.1f} to {steps.max():.1f} mm ({len(odd)} odd steps, "
        f"the largest {between}); give a series with even distances."
    )


def _read_pixels(slices: Sequence[SliceHeader]) -> np.ndarray:
    """(columns, rows, slices) float32, rescaled."""
    rows, columns = slices[0].shape
    volume = np.empty((len(slices), rows, columns), dtype=np.float32)
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetOutputPixelType(SimpleITK.sitkFloat32)
    for index, header in enumerate(slices):
        reader.SetFileName(str(header.path))
        try:
            with quiet_itk():
                image = reader.Execute()
        except RuntimeError as error:
            raise ScanError(
                f"{header.path}: this slice cannot be decoded ({itk_reason(error)}); copy or export the series again."
            ) from error
        volume[index] = SimpleITK.GetArrayViewFromImage(image).reshape(rows, columns)
    return volume.transpose(2, 1, 0)
