"""NIfTI-1 and NIfTI-2 files, compressed or not."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import IO

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

from nephro_monai.errors import ScanError
from nephro_monai.io.volume import RawVolume, check_affine

__all__ = ["read_nifti"]

_GZIP_MAGIC = b"\x1f\x8b"
_HEADER_SIZES = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
_SLAB_BYTES = 32 * 2**20


def read_nifti(path: str | Path) -> RawVolume:
    """Reads a `.nii` or `.nii.gz` file.

    The sform is used where its code is above zero, else the qform, else NIfTI's fallback (noted). Values are
    multiplied by `scl_slope` and shifted by `scl_inter`. The file is read slab by slab straight into float32, so
    that a float64 file of 1059 slices needs little more memory than its float32 copy.

    Args:
        path: The file.

    Returns:
        The volume along the file's own axes.

    Raises:
        ScanError: If the file is empty, truncated, not what its name says, not a 3-D gray volume, or its geometry
            is impossible.
    """
    file = Path(path)
    _check_beginning(file)
    try:
        with _opened(file) as stream:
            header = _read_header(stream, file)
            shape, notes = _spatial_shape(header, file)
            affine, note = _affine(header, file)
            array = _read_values(stream, header, shape, file)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ScanError(
            f"{file}: the gzip stream is truncated or damaged ({error}); copy or download the file again."
        ) from error
    except OSError as error:
        raise ScanError(
            f"{file}: cannot be read ({error.strerror or error}); check the file and its rights."
        ) from error
    return RawVolume(array, affine, "nifti", (*notes, *note), int(header["sform_code"]), int(header["qform_code"]))


def _check_beginning(file: Path) -> None:
    """Tells an empty or misnamed file from a damaged one."""
    try:
        with file.open("rb") as stream:
            magic = stream.read(2)
    except OSError as error:
        raise ScanError(f"{file}: cannot be opened ({error.strerror}); check the path and its rights.") from error
    if not magic:
        raise ScanError(f"{file}: the file is empty; copy or download it again.")
    compressed = file.name.lower().endswith(".gz")
    if compressed and magic != _GZIP_MAGIC:
        raise ScanError(
            f"{file}: is named .gz but is not gzip-compressed; rename it to .nii if it is a plain NIfTI file, "
            "or download it again."
        )
    if not compressed and magic == _GZIP_MAGIC:
        raise ScanError(f"{file}: is gzip-compressed but not named .gz; rename it to .nii.gz.")


def _opened(file: Path) -> IO[bytes]:
    if file.name.lower().endswith(".gz"):
        return gzip.open(file, "rb")  # type: ignore[return-value]
    return file.open("rb")


def _read_header(stream: IO[bytes], file: Path) -> nib.Nifti1Header:
    """The header as stored; nibabel's own loading would silently repair zero voxel sizes."""
    start = stream.read(4)
    sizes = (struct.unpack("<i", start)[0], struct.unpack(">i", start)[0]) if len(start) == 4 else ()
    kind = next((_HEADER_SIZES[size] for size in sizes if size in _HEADER_SIZES), None)
    if kind is None:
        raise ScanError(f"{file}: is not a NIfTI file (no NIfTI header); allowed are NIfTI-1 and NIfTI-2.")
    stream.seek(0)
    try:
        header: nib.Nifti1Header = kind.from_fileobj(stream, check=False)
    except nib.wrapstruct.WrapStructError as error:
        raise ScanError(f"{file}: the NIfTI header is truncated; copy or download the file again.") from error
    if not bytes(header["magic"]).startswith(b"n+"):
        raise ScanError(f"{file}: is not a single-file NIfTI (magic {header['magic']!r}); convert it to .nii.gz.")
    unit = header.get_xyzt_units()[0]
    if unit in ("meter", "micron"):
        raise ScanError(f"{file}: voxel sizes are given in {unit}s; only mm are read; correct the header.")
    return header


def _spatial_shape(header: nib.Nifti1Header, file: Path) -> tuple[tuple[int, int, int], tuple[str, ...]]:
    dimensions = int(header["dim"][0])
    shape = tuple(int(n) for n in header["dim"][1 : dimensions + 1]) if 1 <= dimensions <= 7 else ()
    try:
        kind = header.get_data_dtype().kind
    except (HeaderDataError, KeyError) as error:
        raise ScanError(f"{file}: unknown NIfTI data type {int(header['datatype'])}; export the scan again.") from error
    if kind not in "iuf":
        name = nib.nifti1.data_type_codes.label[int(header["datatype"])]
        raise ScanError(
            f"{file}: the voxels are {name} (color or complex); allowed are integer or floating-point gray values; "
            "give the original CT."
        )
    if not shape or min(shape) < 1:
        raise ScanError(f"{file}: the header gives the shape {shape}; every axis needs at least one voxel.")
    if len(shape) < 3:
        raise ScanError(f"{file}: is {len(shape)}-D {shape}; a 3-D volume is needed; give the whole scan.")
    if max(shape[3:], default=1) > 1:
        raise ScanError(
            f"{file}: is {len(shape)}-D {shape}; a 3-D volume is needed; split it and give one volume per file."
        )
    notes = (f"Trailing axes of length one were dropped from the shape {shape}.",) if len(shape) > 3 else ()
    return (shape[0], shape[1], shape[2]), notes


def _affine(header: nib.Nifti1Header, file: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    sizes = header["pixdim"][1:4].astype(np.float64)
    if header["sform_code"] > 0:
        affine = header.get_sform()
    elif header["qform_code"] > 0:
        if (sizes == 0).any():
            raise ScanError(
                f"{file}: the voxel size is {sizes.tolist()} mm; none may be zero; correct the header or export again."
            )
        try:
            affine = header.get_qform()
        except (HeaderDataError, ValueError) as error:
            raise ScanError(f"{file}: the qform is not a rotation ({error}); correct the header.") from error
    else:
        affine = _fallback_affine(header)
        notes = ("Neither sform nor qform is set: sides and orientation are assumed (NIfTI's fallback), not known.",)
    affine = np.asarray(affine, dtype=np.float64)
    check_affine(affine, file)
    return affine, notes


def _fallback_affine(header: nib.Nifti1Header) -> np.ndarray:
    """Origin in the center, x to the left, as nibabel reads such files."""
    dimensions = int(header["dim"][0])
    affine = nib.volumeutils.shape_zoom_affine(
        tuple(header["dim"][1 : min(dimensions, 3) + 1]), tuple(header["pixdim"][1:4]), header.default_x_flip
    )
    return np.asarray(affine)


def _read_values(stream: IO[bytes], header: nib.Nifti1Header, shape: tuple[int, int, int], file: Path) -> np.ndarray:
    """Slab by slab along the slowest axis, scaled into float32."""
    dtype = header.get_data_dtype()
    slope, inter = _scaling(header)
    rows = shape[0] * shape[1]
    step = max(1, _SLAB_BYTES // (rows * dtype.itemsize))
    array = np.empty(shape, dtype=np.float32, order="F")
    stream.seek(int(header["vox_offset"]) or header.single_vox_offset)
    for start in range(0, shape[2], step):
        stop = min(shape[2], start + step)
        data = stream.read(rows * (stop - start) * dtype.itemsize)
        if len(data) < rows * (stop - start) * dtype.itemsize:
            raise ScanError(f"{file}: the file ends before its last voxel; copy or download it again.")
        slab = np.frombuffer(data, dtype=dtype).reshape((shape[0], shape[1], stop - start), order="F")
        if (slope, inter) == (1.0, 0.0):
            array[:, :, start:stop] = slab
        else:
            array[:, :, start:stop] = slab * np.float64(slope) + inter
    if file.name.lower().endswith(".gz"):
        stream.read(2**20)  # reaching the end makes gzip check its checksum
    return array


def _scaling(header: nib.Nifti1Header) -> tuple[float, float]:
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if not np.isfinite(slope) or slope == 0:
        return 1.0, 0.0  # NIfTI: no scaling
    return slope, inter if np.isfinite(inter) else 0.0
