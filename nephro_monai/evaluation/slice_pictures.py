"""Scores a cascade for volumes on axial slices that were published as 8-bit pictures, without the scans around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image
from skimage.measure import label, regionprops
from skimage.morphology import convex_hull_image

from nephro_monai.constants import KIDNEY, TUMOR
from nephro_monai.errors import ScanError
from nephro_monai.evaluation.label_map import read_label_map
from nephro_monai.io.atomic import atomic_path
from nephro_monai.metrics.dice import dice, dice_from_counts, label_counts

__all__ = ["SlicePictureScores", "hu_of_picture", "score_slice_stacks", "stack_slice_pictures"]

_AIR_HU, _FAT_HU = -1000.0, -100.0
_KIDNEY_COLOR, _TUMOR_COLOR = (0, 0, 255), (255, 0, 0)


@dataclass(frozen=True)
class SlicePictureScores:
    """How slices were outlined; None where no slice has the class.

    Attributes:
        slices: How many were scored.
        kidney: Dice of kidney with tumor over all slices as one.
        tumor: Dice of tumor over all slices as one.
        kidney_by_slice: Mean over slices that hold kidney or tumor.
        tumor_by_slice: Mean over slices that hold tumor.
    """

    slices: int
    kidney: float | None
    tumor: float | None
    kidney_by_slice: float | None
    tumor_by_slice: float | None


def stack_slice_pictures(
    pictures: Path, masks: Path, folder: Path, copies: int = 9, spacing_mm: Sequence[float] = (0.8, 0.8, 3.0)
) -> list[str]:
    """Makes a small volume of every picture by repeating it, in KiTS19's layout, and its mask with it.

    Args:
        pictures: Folder of gray 8-bit PNG files, value = HU clipped to 0..255; rows to posterior, columns to the
            patient's left.
        masks: Folder of RGB PNG files of the same names, blue kidney, red tumor, black the rest.
        folder: Gets `<name>/imaging.nii.gz` and `<name>/segmentation.nii.gz`.
        copies: Slices of a volume, an odd number.
        spacing_mm: Pixel size along columns and rows, and distance of the copies.

    Returns:
        The names.

    Raises:
        ScanError: If there are no pictures, or a mask is missing, of another size or of other colors.
        ValueError: If `copies` is no positive odd number.
    """
    if copies < 1 or copies % 2 == 0:
        raise ValueError(f"The number of copies must be odd, so that one is the middle; got {copies}.")
    paths = sorted(pictures.glob("*.png"))
    if not paths:
        raise ScanError(f"{pictures} holds no .png file.")
    x, y, z = (float(s) for s in spacing_mm)
    affine = np.diag([-x, -y, z, 1.0])  # columns to the left and rows to posterior, in RAS
    for path in paths:
        picture = np.asarray(Image.open(path).convert("L"))
        classes = _classes_of_mask(masks / path.name, picture.shape)
        volume = np.repeat(hu_of_picture(picture).T[:, :, None], copies, axis=2)
        truth = np.repeat(classes.T[:, :, None], copies, axis=2)
        case = folder / path.stem
        case.mkdir(parents=True, exist_ok=True)
        for name, values in (("imaging", volume.astype(np.int16)), ("segmentation", truth)):
            with atomic_path(case / f"{name}.nii.gz") as temporary:
                nib.save(nib.Nifti1Image(values, affine), temporary)
    return [path.stem for path in paths]


def hu_of_picture(picture: np.ndarray) -> np.ndarray:
    """HU of a slice whose values below 0 were cut off: what is 0 inside the body counts as fat, outside as air.

    The body is the convex hull of all pieces but those whose middle lies behind the largest one: of muscles, organs and
    what is left of the skin, not of the table.

    Args:
        picture: (rows, columns) uint8.

    Returns:
        (rows, columns) float32.
    """
    hu = picture.astype(np.float32)
    hu[picture == 0] = _AIR_HU
    pieces = label(picture > 0, connectivity=2)
    regions = regionprops(pieces)
    if regions:
        back = max(regions, key=lambda region: region.area).bbox[2]
        kept = [region.label for region in regions if region.centroid[0] < back]
        hu[convex_hull_image(np.isin(pieces, kept)) & (picture == 0)] = _FAT_HU
    return hu


def _classes_of_mask(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    if not path.is_file():
        raise ScanError(f"There is no mask {path}; every picture needs one of its own name.")
    colors = np.asarray(Image.open(path).convert("RGB"))
    if colors.shape[:2] != shape:
        raise ScanError(f"{path} has {colors.shape[:2]} pixels, its picture {shape}.")
    classes = np.zeros(shape, np.uint8)
    for value, color in ((KIDNEY, _KIDNEY_COLOR), (TUMOR, _TUMOR_COLOR)):
        classes[(colors == color).all(-1)] = value
    if ((classes == 0) & colors.any(-1)).any():
        raise ScanError(f"{path} has other colors than blue (kidney), red (tumor) and black.")
    return classes


def score_slice_stacks(predictions: Path, folder: Path) -> SlicePictureScores:
    """Compares the middle slices of predicted volumes with the masks.

    Args:
        predictions: Output folder of `nephro predict` on what `stack_slice_pictures` made.
        folder: What `stack_slice_pictures` made.

    Raises:
        ScanError: If there is nothing to score, or a prediction is missing or has another shape.
    """
    truths = sorted(folder.glob("*/segmentation.nii.gz"))
    if not truths:
        raise ScanError(f"{folder} has no <name>/segmentation.nii.gz; make it with `nephro stack-slices`.")
    counts, kidney, tumor = np.zeros((3, 3), np.int64), [], []
    for path in truths:
        truth, found = read_label_map(path).labels, _prediction(predictions / path.parent.name, path)
        if truth.shape != found.shape:
            raise ScanError(f"{path.parent.name}: the prediction has shape {found.shape}, the stack {truth.shape}.")
        a, b = (volume[:, :, volume.shape[2] // 2] for volume in (found, truth))
        counts += label_counts(a, b)
        if b.any():
            kidney.append(dice(a > 0, b > 0))
        if (b == TUMOR).any():
            tumor.append(dice(a == TUMOR, b == TUMOR))
    return SlicePictureScores(
        slices=len(truths),
        kidney=dice_from_counts(counts, (KIDNEY, TUMOR)) if kidney else None,
        tumor=dice_from_counts(counts, (TUMOR,)) if tumor else None,
        kidney_by_slice=float(np.mean(kidney)) if kidney else None,
        tumor_by_slice=float(np.mean(tumor)) if tumor else None,
    )


def _prediction(folder: Path, truth: Path) -> np.ndarray:
    path = folder / "segmentation.nii.gz"
    if not path.is_file():
        raise ScanError(f"There is no {path}; run `nephro predict {truth.parent.parent} --out {folder.parent}` first.")
    return read_label_map(path).labels
