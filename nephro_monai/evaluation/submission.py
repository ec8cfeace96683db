"""From predictions of the challenge's test cases to the zip it takes."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nephro_monai.errors import OutputError, ScanError, TrainingDataError
from nephro_monai.evaluation.cohort import label_maps
from nephro_monai.evaluation.label_map import AFFINE_TOLERANCE, affine_difference, read_grid, read_label_map
from nephro_monai.io.atomic import atomic_path

__all__ = ["TEST_CASES", "Submission", "check_submission", "write_submission"]

TEST_CASES = range(210, 300)
"""KiTS19's test cases."""

_OLDEST = (1980, 1, 1, 0, 0, 0)
_DTYPE = "uint8"


@dataclass(frozen=True)
class Submission:
    """What the check found.

    Attributes:
        files: Label maps by case, those without a fault.
        cases: Names of the cases that the challenge asks for.
        offences: One line each; the zip is written only if there is none.
        missing: Cases without a prediction.
        ignored: Predictions that the challenge does not ask for.
    """

    files: dict[str, Path]
    cases: tuple[str, ...]
    offences: tuple[str, ...]
    missing: tuple[str, ...]
    ignored: tuple[str, ...]

    @property
    def cost(self) -> str:
        """What the missing cases cost, in a sentence; empty if none is missing."""
        if not self.missing:
            return ""
        best = 1 - len(self.missing) / len(self.cases)
        names = ", ".join(self.missing[:5]) + (", ..." if len(self.missing) > 5 else "")
        return (
            f"{len(self.missing)} of {len(self.cases)} cases are missing ({names}). The challenge counts them as all "
            f"background: kidney and tumor Dice are 0 there, so that the composite is at most {best:.3f}."
        )


def check_submission(
    predictions: Path,
    images: Path,
    cases: Sequence[int] = TEST_CASES,
    allow_missing: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Submission:
    """Checks presence, shape, affine, values and number type of every prediction.

    Args:
        predictions: Output of `nephro predict`, or a folder with prediction_00210.nii.gz files.
        images: Folder with case_00210/imaging.nii.gz, or its parent, or with case_00210.nii.gz files.
        cases: Numbers of the cases to submit.
        allow_missing: Whether a missing prediction is no offence.
        progress: Called with cases done and cases in all.

    Raises:
        TrainingDataError: If there is no prediction of these cases or no image at all.
    """
    found = label_maps(predictions)
    names = tuple(f"case_{number:05d}" for number in cases)
    if not set(names) & set(found):
        raise TrainingDataError(
            f"No prediction of {names[0]} to {names[-1]} in {predictions}: give the output folder of `nephro predict` "
            "or a folder with prediction_00210.nii.gz files."
        )
    if not any(_image(images, name) for name in names):
        raise TrainingDataError(f"No image in {images}: give the folder with {names[0]}/imaging.nii.gz and the others.")
    files, offences, missing = {}, [], []
    for done, name in enumerate(names, 1):
        paths = found.get(name, [])
        if not paths:
            missing.append(name)
            if not allow_missing:
                offences.append(f"{name}: there is no prediction.")
        elif len(paths) > 1:
            both = " and ".join(str(path.relative_to(predictions)) for path in paths)
            offences.append(f"{name}: there are {len(paths)} predictions ({both}); keep one.")
        elif faults := _faults(paths[0], _image(images, name)):
            offences += [f"{name}: {fault}" for fault in faults]
        else:
            files[name] = paths[0]
        if progress is not None:
            progress(done, len(names))
    ignored = tuple(sorted(set(found) - set(names)))
    return Submission(files, names, tuple(offences), tuple(missing), ignored)


def write_submission(submission: Submission, out: Path) -> None:
    """Writes the zip: prediction_00210.nii.gz and the others at its root, the same bytes every time.

    Args:
        submission: Without offences.
        out: Zip file to write.

    Raises:
        ValueError: If there is an offence.
        OutputError: If the file cannot be written or does not end in .zip.
    """
    if submission.offences:
        raise ValueError(f"A submission with {len(submission.offences)} offences is not written; mend them first.")
    if out.suffix.lower() != ".zip":
        raise OutputError(f"The challenge takes a zip file, got the name {out.name}; give one that ends in .zip.")
    # The label maps are compressed already.
    with atomic_path(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, path in submission.files.items():
            content = path.read_bytes()
            if not path.name.endswith(".gz"):
                content = gzip.compress(content, mtime=0)
            entry = zipfile.ZipInfo(f"prediction_{name.removeprefix('case_')}.nii.gz", _OLDEST)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)


def _image(images: Path, name: str) -> Path | None:
    places = (f"{name}/imaging.nii.gz", f"{name}/imaging.nii", f"data/{name}/imaging.nii.gz", f"{name}.nii.gz")
    return next((images / place for place in places if (images / place).is_file()), None)


def _faults(prediction: Path, image: Path | None) -> list[str]:
    """What is wrong with one prediction, each in a sentence."""
    try:
        label_map = read_label_map(prediction)
        shape = label_map.labels.shape
    except ScanError as error:
        return [str(error)]
    faults = []
    if image is None:
        faults.append("there is no image to check its shape and affine against; fetch it or give the right --images.")
    else:
        try:
            expected, affine, _ = read_grid(image)
        except ScanError as error:
            return [f"its image is of no use: {error}"]
        if shape != expected:
            faults.append(f"its shape is {shape}, that of its image {expected}; predict on the scan's own grid.")
        if not (difference := affine_difference(label_map.affine, affine)) <= AFFINE_TOLERANCE:
            faults.append(
                f"its affine differs from that of its image by {difference:.3g} in sum (allowed: "
                f"{AFFINE_TOLERANCE:g}); write it with the image's affine."
            )
    if unknown := label_map.unknown_labels():
        what = ", ".join(f"{count} voxels of {label}" for label, count in unknown.items())
        faults.append(f"it holds values other than 0, 1 and 2 ({what}), which would count as background.")
    if label_map.dtype != _DTYPE:
        faults.append(f"its number type is {label_map.dtype}; write {_DTYPE}.")
    faults += [note[0].lower() + note[1:] for note in label_map.notes]
    return faults
