"""Label maps back on the grid of the file they were made for."""

from __future__ import annotations

import gzip
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from nephro_monai.constants import SCAN_AXCODES
from nephro_monai.io.atomic import atomic_path
from nephro_monai.structures import Scan

__all__ = ["SaveSegmentationd", "save_label_map", "to_native_grid"]

_GZIP_LEVEL = 1
_SCANNER_CODE = 1


class SaveSegmentationd(MapTransform):
    """Writes `<output_dir>/<case>/segmentation.nii.gz`: uint8, shape, affine and orientation of the input.

    Reads the keys `segmentation` (uint8 (1, X, Y, Z), R-A-S), `scan` and `case`; changes nothing.
    """

    def __init__(
        self, output_dir: str | Path, keys: KeysCollection = "segmentation", file_name: str = "segmentation.nii.gz"
    ) -> None:
        """Sets where to write.

        Args:
            output_dir: The run's folder; each case gets a folder in it.
            keys: Where the label map is.
            file_name: Name of the file, ending in `.nii.gz`.

        Raises:
            ValueError: If more than one key is given or the name does not end in `.nii.gz`.
        """
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"SaveSegmentationd writes one label map per case, got the keys {self.keys}.")
        if not file_name.endswith(".nii.gz"):
            raise ValueError(f"The segmentation's file name must end in .nii.gz, got {file_name!r}.")
        self.output_dir = Path(output_dir)
        self.file_name = file_name

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Writes the file and returns the case as it came.

        Raises:
            OutputError: If the file cannot be written.
        """
        case = dict(data)
        for key in self.key_iterator(case):
            save_label_map(case[key], case["scan"], self.output_dir / case["case"] / self.file_name)
        return case


def to_native_grid(label_map: torch.Tensor, scan: Scan) -> np.ndarray:
    """Turns an R-A-S label map back to the axes of the scan's file.

    Args:
        label_map: (1, X, Y, Z) integers.
        scan: Of the same case.

    Returns:
        uint8 array of `scan.native_shape` (a view where possible).

    Raises:
        ValueError: If the label map does not have the scan's grid.
    """
    if label_map.ndim != 4 or label_map.shape[0] != 1:
        raise ValueError(f"A label map has the shape (1, X, Y, Z), got {tuple(label_map.shape)}.")
    native = nib.io_orientation(np.asarray(scan.native_affine))
    change = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt(SCAN_AXCODES), native)
    labels = label_map[0].detach().cpu().to(torch.uint8).numpy()
    turned = np.asarray(nib.orientations.apply_orientation(labels, change))
    if turned.shape != tuple(scan.native_shape):
        raise ValueError(
            f"The label map of shape {tuple(label_map.shape)} gives {turned.shape} on the scan's axes, "
            f"but the scan {scan.path} has {tuple(scan.native_shape)}."
        )
    return turned


def save_label_map(label_map: torch.Tensor, scan: Scan, path: str | Path) -> None:
    """Writes a label map as NIfTI on the scan's own grid, whole or not at all; the same input gives the same bytes.

    The qform and sform codes of a NIfTI input are kept; other formats get code 1 (scanner coordinates) for both.

    Args:
        label_map: (1, X, Y, Z) integers in 0..255, R-A-S.
        scan: Of the same case.
        path: Ends in `.nii.gz`.

    Raises:
        OutputError: If the file cannot be written.
        ValueError: If the label map does not have the scan's grid.
    """
    affine = np.asarray(scan.native_affine, dtype=np.float64)
    image = nib.Nifti1Image(to_native_grid(label_map, scan), affine, dtype=np.uint8)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, _SCANNER_CODE if scan.sform_code is None else scan.sform_code)
    image.set_qform(affine, _SCANNER_CODE if scan.qform_code is None else scan.qform_code)
    with (
        atomic_path(path) as temporary,
        temporary.open("wb") as file,
        # No name and no time in the gzip header: the same labels give the same bytes.
        gzip.GzipFile("", "wb", compresslevel=_GZIP_LEVEL, fileobj=file, mtime=0) as stream,
    ):
        image.to_stream(stream)
