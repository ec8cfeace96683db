"""From a path to a volume every stage understands."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from nephro_monai.constants import LABEL_NAMES, SCAN_AXCODES
from nephro_monai.errors import ScanError
from nephro_monai.io.dicom import read_dicom_series
from nephro_monai.io.itk_volume import read_itk_volume
from nephro_monai.io.nifti import read_nifti
from nephro_monai.io.volume import RawVolume, affine_notes, scan_format
from nephro_monai.structures import Scan

__all__ = ["LoadScand", "load_label_map", "load_scan"]

_MIN_SLICES = 4
_MIN_PIXELS = 32
_PLAUSIBLE_HU = (-1100.0, 4000.0)


class LoadScand(MapTransform):
    """Reads a scan: path in, R-A-S volume in HU out (see `load_scan`).

    Adds to the case dictionary:
        image: MetaTensor float32 (1, X, Y, Z), in the place of the path.
        scan: `structures.Scan`.
    """

    def __init__(
        self, keys: KeysCollection = "image", scan_key: str = "scan", allow_missing_keys: bool = False
    ) -> None:
        """Sets the keys.

        Args:
            keys: Where the path is and the volume goes.
            scan_key: Where the `structures.Scan` goes.
            allow_missing_keys: Skip absent keys instead of raising.

        Raises:
            ValueError: If more than one key is given: a case has one scan.
        """
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"LoadScand reads one scan per case, got the keys {self.keys}.")
        self.scan_key = scan_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns the case with `image` and `scan`."""
        case = dict(data)
        for key in self.key_iterator(case):
            case[key], case[self.scan_key] = load_scan(case[key])
        return case


def load_scan(path: str | Path) -> tuple[MetaTensor, Scan]:
    """Reads a CT scan of any supported format.

    HU are not clipped here; values no scanner gives, and values that do not look like HU, are noted.

    Args:
        path: NIfTI, MetaImage or NRRD file, or the folder of a DICOM series.

    Returns:
        MetaTensor float32 (1, X, Y, Z) in HU, axes to right, anterior and superior, `.affine` voxel to RAS mm
        (float64), and what is needed to write results on the file's own grid.

    Raises:
        ScanError: If the scan cannot be read or is not a usable CT volume; the message is one line.
    """
    raw = _read(path)
    _check_finite(raw.array, path)
    image = _oriented(raw)
    image.meta["filename_or_obj"] = str(path)  # where MONAI's own writers look for the name
    sizes = tuple(image.shape[1:])
    if min(sizes[:2]) < _MIN_PIXELS or sizes[2] < _MIN_SLICES:
        raise ScanError(
            f"{path}: has {sizes[2]} axial slices of {sizes[0]} x {sizes[1]} pixels; at least {_MIN_SLICES} slices of "
            f"{_MIN_PIXELS} x {_MIN_PIXELS} are needed; give the whole scan."
        )
    native_shape = (raw.array.shape[0], raw.array.shape[1], raw.array.shape[2])
    scan = Scan(
        path=str(path),
        format=raw.format,
        native_shape=native_shape,
        native_affine=tuple(tuple(float(value) for value in row) for row in raw.affine),
        native_axcodes="".join(nib.aff2axcodes(raw.affine)),
        notes=(*raw.notes, *affine_notes(raw.affine), *_intensity_notes(image)),
        sform_code=raw.sform_code,
        qform_code=raw.qform_code,
    )
    return image, scan


def load_label_map(path: str | Path, allowed: Sequence[int] | None = tuple(LABEL_NAMES)) -> MetaTensor:
    """Reads a label map of any stored type (nine KiTS19 files are uint16) in the orientation of `load_scan`.

    Args:
        path: NIfTI, MetaImage or NRRD file.
        allowed: The labels that may occur; None for any integer in 0..255.

    Returns:
        MetaTensor uint8 (1, X, Y, Z), axes R-A-S, `.affine` voxel to RAS mm.

    Raises:
        ScanError: If the file cannot be read or holds other values.
    """
    raw = _read(path)
    low, high = float(raw.array.min()), float(raw.array.max())
    labels = raw.array.astype(np.uint8) if low >= 0 and high <= 255 else None
    if labels is None or not np.array_equal(labels, raw.array):
        raise ScanError(f"{path}: is no label map (values {low:g} to {high:g}); allowed are integers in 0..255.")
    if allowed is not None:
        present = np.flatnonzero(np.bincount(labels.ravel(order="K"), minlength=256))
        strange = sorted(set(present.tolist()) - set(allowed))
        if strange:
            raise ScanError(f"{path}: holds the labels {strange}; allowed are {list(allowed)}; relabel the file.")
    return _oriented(RawVolume(labels, raw.affine, raw.format))


def _read(path: str | Path) -> RawVolume:
    file = Path(path)
    if not file.exists():
        raise ScanError(f"{file}: does not exist; check the path.")
    if file.is_dir():
        return read_dicom_series(file)
    form = scan_format(file)
    if form is None:
        raise ScanError(
            f"{file}: unknown file type; allowed are .nii, .nii.gz, .mha, .mhd, .nrrd, .nhdr and folders of a DICOM "
            "series (give the folder, not one of its files)."
        )
    return read_nifti(file) if form == "nifti" else read_itk_volume(file)


def _check_finite(array: np.ndarray, path: str | Path) -> None:
    if np.isfinite(array.min()) and np.isfinite(array.max()):  # both carry NaN and infinity along
        return
    count = sum(int(np.count_nonzero(~np.isfinite(array[..., k]))) for k in range(array.shape[-1]))
    raise ScanError(
        f"{path}: {count} of {array.size} voxels are NaN or infinite; set them to a HU value (-1024 for outside the "
        "scan) or export the scan again."
    )


def _oriented(raw: RawVolume) -> MetaTensor:
    """The volume with axes to right, anterior and superior, contiguous, with its affine."""
    change = nib.orientations.ornt_transform(
        nib.io_orientation(raw.affine), nib.orientations.axcodes2ornt(SCAN_AXCODES)
    )
    volume = np.ascontiguousarray(nib.orientations.apply_orientation(raw.array, change))
    affine = raw.affine @ nib.orientations.inv_ornt_aff(change, raw.array.shape)
    return MetaTensor(torch.from_numpy(volume)[None], affine=torch.as_tensor(affine, dtype=torch.float64))


def _intensity_notes(image: torch.Tensor) -> tuple[str, ...]:
    low, high = (float(value) for value in torch.aminmax(image.as_tensor() if isinstance(image, MetaTensor) else image))
    if low == high:
        return (f"All voxels are {low:g}: the scan is empty.",)
    notes = []
    if low >= 0:
        notes.append(f"The values do not look like HU (none below zero, {low:g} to {high:g}): results may be wrong.")
    elif high - low < 100:
        notes.append(f"The values do not look like HU (only {low:g} to {high:g}): results may be wrong.")
    if low < _PLAUSIBLE_HU[0] or high > _PLAUSIBLE_HU[1]:
        notes.append(f"Values from {low:.0f} to {high:.0f} HU: beyond what a scanner gives, clipped in each stage.")
    return tuple(notes)
