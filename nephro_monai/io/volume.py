"""A volume as its file holds it, and the checks that every format shares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nephro_monai.errors import ScanError

__all__ = ["RawVolume", "affine_notes", "check_affine", "scan_format"]

SPACING_RANGE_MM = (0.05, 25.0)
MAX_SHEAR_COSINE = 0.01
OBLIQUE_DEGREES = 10.0

_SUFFIXES = {
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".mha": "metaimage",
    ".mhd": "metaimage",
    ".nrrd": "nrrd",
    ".nhdr": "nrrd",
}


@dataclass(frozen=True)
class RawVolume:
    """A volume along its file's own axes.

    Attributes:
        array: (I, J, K) float32 values, rescaled as the file asks.
        affine: (4, 4) float64, voxel index to RAS mm.
        format: "nifti", "metaimage", "nrrd" or "dicom".
        notes: What the reader decided or doubted.
        sform_code: NIfTI only.
        qform_code: NIfTI only.
    """

    array: np.ndarray
    affine: np.ndarray
    format: str
    notes: tuple[str, ...] = ()
    sform_code: int | None = None
    qform_code: int | None = None


def scan_format(path: str | Path) -> str | None:
    """The format a file name promises: "nifti", "metaimage", "nrrd", or None for any other name."""
    name = Path(path).name.lower()
    return next((form for suffix, form in _SUFFIXES.items() if name.endswith(suffix)), None)


def check_affine(affine: np.ndarray, path: str | Path) -> None:
    """Refuses affines that no scan geometry has.

    Args:
        affine: (4, 4) voxel-to-mm matrix.
        path: Named in the message.

    Raises:
        ScanError: If a value is not finite, a voxel size is zero or outside 0.05 to 25 mm, the axes are linearly
            dependent, or they are not at right angles (cosine above 0.01).
    """
    if not np.isfinite(affine).all():
        raise ScanError(f"{path}: the affine holds NaN or infinite values; export the scan again.")
    axes = affine[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    if (spacing == 0).any():
        raise ScanError(
            f"{path}: the voxel size is {_rounded(spacing)} mm; none may be zero; correct the header or export again."
        )
    low, high = SPACING_RANGE_MM
    if (spacing < low).any() or (spacing > high).any():
        raise ScanError(
            f"{path}: the voxel size is {_rounded(spacing)} mm; allowed is {low:g} to {high:g} mm along each axis; "
            "correct the header (units must be mm)."
        )
    directions = axes / spacing
    cosines = np.abs(directions.T @ directions - np.eye(3))
    if abs(np.linalg.det(directions)) < 1e-3:
        raise ScanError(f"{path}: the affine is singular (two axes are parallel); correct the header or export again.")
    if cosines.max() > MAX_SHEAR_COSINE:
        degrees = np.degrees(np.arcsin(min(1.0, float(cosines.max()))))
        raise ScanError(
            f"{path}: the voxel axes are {degrees:.1f} degrees off a right angle (shear, as from gantry tilt); "
            "resample the scan to a rectangular grid first."
        )


def affine_notes(affine: np.ndarray) -> tuple[str, ...]:
    """Says when the grid is turned against the patient's axes by more than 10 degrees."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    degrees = float(np.degrees(np.arccos(np.clip(np.abs(directions).max(axis=0).min(), 0.0, 1.0))))
    if degrees <= OBLIQUE_DEGREES:
        return ()
    return (f"The voxel grid is turned by {degrees:.0f} degrees against the patient's axes; slices are oblique.",)


def _rounded(values: np.ndarray) -> str:
    return " x ".join(f"{value:.4g}" for value in values)
