"""DICOM series: which files, which series, and whether they make a volume."""

from __future__ import annotations

from pathlib import Path

from nephro_monai.io.volume import RawVolume

__all__ = ["holds_dicom", "read_dicom_series", "study_uid"]


def read_dicom_series(path: str | Path) -> RawVolume:
    raise NotImplementedError


def holds_dicom(folder: Path, deep: bool = True) -> bool:
    return False


def study_uid(folder: Path) -> str | None:
    return None
