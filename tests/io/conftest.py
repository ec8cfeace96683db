"""Small scans in every format, made by the libraries' own writers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid


@pytest.fixture
def hounsfield() -> np.ndarray:
    """(36, 40, 10) int16, every voxel of a different neighborhood, -1000..1000."""
    return np.random.default_rng(0).integers(-1000, 1000, (36, 40, 10)).astype(np.int16)


@pytest.fixture
def write_nifti(tmp_path: Path) -> Callable[..., Path]:
    """Writes a NIfTI file and returns its path; `change` edits the header last."""

    def write(
        array: np.ndarray,
        name: str = "scan.nii.gz",
        affine: np.ndarray | None = None,
        codes: tuple[int, int] = (1, 1),
        change: Callable[[Any], None] | None = None,
        slope: tuple[float, float] | None = None,
    ) -> Path:
        affine = np.diag([0.8, 0.8, 3.0, 1.0]) if affine is None else affine
        image = nib.Nifti1Image(array, affine, dtype=array.dtype)
        image.set_sform(affine, codes[0])
        image.set_qform(affine, codes[1])
        if slope is not None:
            image.header.set_slope_inter(*slope)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(image, path)
        if change is not None:
            _edit_header(path, change)
        return path

    return write


def _edit_header(path: Path, change: Callable[[Any], None]) -> None:
    """Changes the header on disk past nibabel's checks; the file must not be compressed."""
    content = path.read_bytes()
    header = nib.Nifti1Header(content[:348], check=False)
    change(header.structarr)
    path.write_bytes(header.structarr.tobytes() + content[348:])


@pytest.fixture
def write_series(tmp_path: Path) -> Callable[..., Path]:
    """Writes (slices, rows, columns) HU as a DICOM series; returns the folder."""

    def write(volume: np.ndarray, folder: str = "dicom", **options: Any) -> Path:
        place = tmp_path / folder
        place.mkdir(parents=True, exist_ok=True)
        _Series(**options).write(volume, place)
        return place

    return write


class _Series:
    def __init__(
        self,
        spacing: tuple[float, float] = (0.7, 0.9),
        step: tuple[float, float, float] = (0.0, 0.0, 2.5),
        origin: tuple[float, float, float] = (-10.0, 20.0, 30.0),
        orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
        modality: str = "CT",
        rescale: tuple[float, float] = (1.0, -1024.0),
        names: list[str] | None = None,
        skip: tuple[int, ...] = (),
        number: int = 1,
        description: str = "",
        study: str | None = None,
        series: str | None = None,
        image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL"),
        finish: Callable[[FileDataset, int], None] | None = None,
    ) -> None:
        self.__dict__.update({key: value for key, value in locals().items() if key != "self"})
        self.study = study or generate_uid()
        self.series = series or generate_uid()

    def write(self, volume: np.ndarray, place: Path) -> None:
        for index, pixels in enumerate(volume):
            if index in self.skip:
                continue
            data = self._slice(pixels, index)
            if self.finish:
                self.finish(data, index)
            name = self.names[index] if self.names else f"{self.number:03d}_{index:04d}.dcm"
            data.save_as(place / name, enforce_file_format=True)

    def _slice(self, pixels: np.ndarray, index: int) -> FileDataset:
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = CTImageStorage if self.modality == "CT" else MRImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        data.StudyInstanceUID, data.SeriesInstanceUID = self.study, self.series
        data.FrameOfReferenceUID = self.study
        data.PatientName, data.PatientID = "Doe^Jane", "secret"
        data.Modality, data.SeriesNumber, data.InstanceNumber = self.modality, self.number, index + 1
        data.SeriesDescription, data.ImageType = self.description, list(self.image_type)
        data.Rows, data.Columns = pixels.shape
        data.PixelSpacing = [str(value) for value in self.spacing]
        data.ImageOrientationPatient = [str(value) for value in self.orientation]
        position = np.asarray(self.origin) + index * np.asarray(self.step)
        data.ImagePositionPatient = [f"{value:.6g}" for value in position]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
        slope, intercept = self.rescale
        data.RescaleSlope, data.RescaleIntercept = str(slope), str(intercept)
        stored = np.round((pixels.astype(np.float64) - intercept) / slope).astype(np.uint16)
        data.PixelData = stored.tobytes()
        data["PixelData"].VR = "OW"
        return data
