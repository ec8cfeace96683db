"""What a data folder in KiTS19's layout holds, case by case, and what is wrong with it."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from nephro_monai.constants import KIDNEY, LABEL_NAMES, TUMOR
from nephro_monai.errors import ScanError, TrainingDataError
from nephro_monai.evaluation.cohort import read_records
from nephro_monai.evaluation.label_map import (
    AFFINE_TOLERANCE,
    LabelMap,
    affine_difference,
    read_grid,
    read_label_map,
)
from nephro_monai.evaluation.submission import TEST_CASES
from nephro_monai.io.atomic import atomic_path
from nephro_monai.io.nifti import read_nifti

__all__ = ["DOUBTFUL_CASES", "CaseCheck", "check_dataset", "write_checks"]

DOUBTFUL_CASES: dict[int, str] = {
    **dict.fromkeys((15, 23, 37, 68, 125, 133), "its label was doubtful or repaired in later releases"),
    **dict.fromkeys((40, 42, 155, 166), "its values were repaired in later releases"),
    61: "it is short (29 slices)",
    160: "its slices are 512 x 796",
}
"""Cases of the real KiTS19 that its users and organizers found trouble with."""

_FOLDER = re.compile(r"case_(\d{5})")
_PLAUSIBLE_HU = (-1100.0, 4000.0)
_NEEDED_HU = (-500.0, 100.0)


@dataclass(frozen=True)
class CaseCheck:
    """What was found in one case.

    Attributes:
        case: Name.
        shape: Voxels along the file's axes, such as "100 x 512 x 512".
        spacing_mm: Voxel size along them.
        axes: Orientation, such as IPL.
        dtype: Number type of the image, then of the label map.
        labels: Labels present.
        hu: Smallest and largest value of the image.
        errors: What makes the case of no use, in sentences.
        notes: What is worth knowing.
    """

    case: str
    shape: str = ""
    spacing_mm: str = ""
    axes: str = ""
    dtype: str = ""
    labels: str = ""
    hu: str = ""
    errors: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def check_dataset(
    folder: Path,
    expected: Sequence[int] = (),
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[CaseCheck], list[str]]:
    """Reads every file of a data folder to its end.

    Args:
        folder: Folder of the cases, or the parent of its `data/`.
        expected: Numbers of cases that must be there.
        workers: Cases read at once; each holds one image in memory.
        progress: Called with cases done and cases in all.

    Returns:
        A row per case, those expected but absent included, and what concerns the folder as a whole.

    Raises:
        TrainingDataError: If the folder has no case, or kits.json is broken.
    """
    root = folder if _folders(folder) else folder / "data"
    folders = _folders(root)
    if not folders:
        raise TrainingDataError(
            f"{folder} holds no case: give the folder with case_00000, case_00001, ... (KiTS19's layout)."
        )
    records, notes = read_records(root / "kits.json")
    if not (root / "kits.json").is_file():
        notes.append("kits.json is missing: no case has a known malignancy.")
    rows = []
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for row in pool.map(lambda path: _check(path, records), folders):
            rows.append(row)
            if progress is not None:
                progress(len(rows), len(folders))
    absent = sorted({f"case_{n:05d}" for n in expected} - {path.name for path in folders})
    rows += [CaseCheck(name, errors=("There is no folder of this case.",)) for name in absent]
    return sorted(rows, key=lambda row: row.case), notes


def write_checks(rows: Sequence[CaseCheck], path: Path) -> None:
    """Writes the rows as CSV.

    Raises:
        OutputError: If the file cannot be written.
    """
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(CaseCheck)])
        writer.writeheader()
        writer.writerows({**asdict(row), "errors": " ".join(row.errors), "notes": " ".join(row.notes)} for row in rows)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("case_*") if path.is_dir() and _FOLDER.fullmatch(path.name))


def _check(folder: Path, records: dict[str, dict[str, Any]]) -> CaseCheck:
    number, record = int(folder.name.removeprefix("case_")), records.get(folder.name, {})
    image, label = _file(folder, "imaging"), _file(folder, "segmentation")
    row = CaseCheck(folder.name)
    row = _with(row, error="imaging.nii.gz is missing.") if image is None else _check_image(row, image)
    if label is not None:
        row = _check_label(row, label, image)
    elif number in TEST_CASES:
        row = _with(row, note="A test case: it has no label map.")
    else:
        row = _with(row, error="segmentation.nii.gz is missing.")
    if records and not record and number not in TEST_CASES:
        row = _with(row, note="kits.json has no record of it.")
    if number in DOUBTFUL_CASES and not record.get("synthetic"):
        row = _with(row, note=f"Known in KiTS19: {DOUBTFUL_CASES[number]}.")
    return row


def _check_image(row: CaseCheck, path: Path) -> CaseCheck:
    try:
        volume, dtype = read_nifti(path), read_grid(path)[2]
    except (ScanError, MemoryError) as error:
        return _with(row, error=str(error) or "The image does not fit into memory.")
    low, high = float(volume.array.min()), float(volume.array.max())
    row = _on_grid(row, volume.array.shape, volume.affine)
    row = replace(row, dtype=dtype.name, hu=f"{low:.0f} to {high:.0f}")
    for note in volume.notes:
        row = _with(row, note=note)
    if not np.isfinite(low + high):
        return _with(row, error="The image holds NaN or infinite values.")
    if low == high:
        return _with(row, error=f"Every voxel of the image is {low:g}.")
    if low < _PLAUSIBLE_HU[0] or high > _PLAUSIBLE_HU[1]:
        row = _with(row, note=f"Values beyond {_PLAUSIBLE_HU[0]:g} to {_PLAUSIBLE_HU[1]:g} HU (they are clipped).")
    if low > _NEEDED_HU[0] or high < _NEEDED_HU[1]:
        row = _with(row, error=f"Values from {low:.0f} to {high:.0f} are no HU of an abdomen; give unscaled CT.")
    return row


def _check_label(row: CaseCheck, path: Path, image: Path | None) -> CaseCheck:
    try:
        label_map = read_label_map(path)
    except (ScanError, MemoryError) as error:
        return _with(row, error=str(error) or "The label map does not fit into memory.")
    present = np.flatnonzero(np.bincount(label_map.labels.ravel(order="K"), minlength=3)).tolist()
    dtype = f"{row.dtype or 'no image'}, {label_map.dtype}"
    row = replace(row, labels=" ".join(map(str, present)), dtype=dtype)
    if not row.shape:
        row = _on_grid(row, label_map.labels.shape, label_map.affine)
    for note in label_map.notes:
        row = _with(row, note=f"Label map: {note}")
    if unknown := [label for label in present if label not in LABEL_NAMES]:
        row = _with(row, error=f"Labels other than 0, 1 and 2: {', '.join(map(str, unknown))}.")
    if not {KIDNEY, TUMOR} & set(present):
        row = _with(row, error="Nothing is labeled.")
    elif TUMOR not in present:
        row = _with(row, note="No tumor is labeled.")
    return _compare_grids(row, label_map, image)


def _compare_grids(row: CaseCheck, label_map: LabelMap, image: Path | None) -> CaseCheck:
    if image is None:
        return row
    try:
        shape, affine, _ = read_grid(image)
    except ScanError:
        return row  # said already
    if tuple(shape[:3]) != label_map.labels.shape:
        row = _with(row, error=f"The label map has the shape {label_map.labels.shape}, the image {tuple(shape)}.")
    if not (difference := affine_difference(affine, label_map.affine)) <= AFFINE_TOLERANCE:
        row = _with(row, error=f"The affines of image and label map differ by {difference:.3g} in sum.")
    return row


def _on_grid(row: CaseCheck, shape: Sequence[int], affine: np.ndarray) -> CaseCheck:
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    return replace(
        row,
        shape=" x ".join(map(str, shape)),
        spacing_mm=" x ".join(f"{value:.4g}" for value in spacing),
        axes="".join(axis or "?" for axis in nib.aff2axcodes(affine)),
    )


def _file(folder: Path, stem: str) -> Path | None:
    return next((path for end in (".nii.gz", ".nii") if (path := folder / f"{stem}{end}").is_file()), None)


def _with(row: CaseCheck, error: str = "", note: str = "") -> CaseCheck:
    errors, notes = row.errors + ((error,) if error else ()), row.notes + ((note,) if note else ())
    return replace(row, errors=errors, notes=notes)
