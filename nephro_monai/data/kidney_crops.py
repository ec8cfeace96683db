"""Cuts training cases into kidney boxes at the working spacing, once, and keeps them in memory."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, Orientationd
from scipy import ndimage
from torch.nn import functional
from tqdm import tqdm

from nephro_monai.constants import HU_RANGE, LABEL_NAMES, SCAN_AXCODES
from nephro_monai.errors import TrainingDataError
from nephro_monai.geometry import resample_to_shape, resampled_shape
from nephro_monai.structures import Box

__all__ = ["CropSettings", "cut_kidney_crops", "kidney_crops_of_case"]


@dataclass(frozen=True)
class CropSettings:
    """How kidney crops are cut.

    Attributes:
        spacing_mm: Working spacing along x, y, z of the R-A-S scan.
        margin_mm: Context kept around each kidney with its tumors. Wider than what the localizer leaves, so that
            random patches may be centered on the box's rim.
        minimum_shape: Crops smaller than this at the working spacing are padded (air, background).
        smallest_kidney_ml: Smaller separate pieces of label get no crop of their own.
        negative_share: Crops without a kidney per kidney crop, cut from the body at random; they stand for the
            localizer's false boxes.
        seed: Of the places of the crops without a kidney.
    """

    spacing_mm: tuple[float, float, float] = (1.5, 1.5, 3.0)
    margin_mm: float = 40.0
    minimum_shape: tuple[int, int, int] = (64, 64, 32)
    smallest_kidney_ml: float = 5.0
    negative_share: float = 0.25
    seed: int = 0


def cut_kidney_crops(
    cases: Sequence[dict[str, Any]], settings: CropSettings | None = None, workers: int = 2, progress: bool = True
) -> list[dict[str, Any]]:
    """Crops of all cases, ready for random patch transforms.

    About 1.6 MB per crop, so that 300 cases fit into 2 GB.

    Args:
        cases: From `list_training_cases`, with `image` and `label` paths.
        settings: How to cut.
        workers: Threads that read and resample.
        progress: Show a progress bar.

    Returns:
        One dictionary per crop: `image` int16 HU (1, X, Y, Z), `label` uint8 (1, X, Y, Z) with 0/1/2,
        `label_cls_indices` (flat indices of up to 4000 voxels of each class, for `RandCropByLabelClassesd`), `case`.

    Raises:
        TrainingDataError: If no case has a kidney.
    """
    chosen = settings or CropSettings()
    with ThreadPoolExecutor(max(1, workers)) as pool:
        done = pool.map(lambda case: kidney_crops_of_case(case, chosen), cases)
        crops = [crop for some in tqdm(done, "cutting kidneys", len(cases), disable=not progress) for crop in some]
    if cases and not crops:
        raise TrainingDataError(
            f"None of the {len(cases)} cases has a kidney of at least {chosen.smallest_kidney_ml} ml in its label map."
        )
    return crops


def kidney_crops_of_case(case: dict[str, Any], settings: CropSettings) -> list[dict[str, Any]]:
    """The crops of one case: one per kidney, and by chance one without (see `cut_kidney_crops`)."""
    data = _reader()({"image": case["image"], "label": case["label"]})
    image = data["image"].as_tensor()
    label = data["label"].as_tensor().to(torch.uint8)
    affine = data["image"].affine
    if image.shape != label.shape:
        raise TrainingDataError(
            f"{case['case']}: image {tuple(image.shape[1:])} and label map {tuple(label.shape[1:])} differ in shape."
        )
    spacing = tuple(float(s) for s in torch.linalg.norm(affine[:3, :3], dim=0))
    shape = tuple(image.shape[1:])
    found = kidney_boxes(label[0].numpy(), spacing, settings.smallest_kidney_ml)
    rng = np.random.default_rng((settings.seed, *case["case"].encode()))
    negatives = [
        _negative_box(image[0], label[0], box, rng) for box in found if rng.random() < settings.negative_share
    ]
    margin = tuple(round(settings.margin_mm / s) for s in spacing)
    boxes = [box.expanded(margin, shape) for box in found] + [box for box in negatives if box is not None]
    return [_crop(image, label, box, spacing, settings) | {"case": case["case"]} for box in boxes]


def kidney_boxes(label: np.ndarray, spacing_mm: Sequence[float], smallest_ml: float) -> list[Box]:
    """Tight boxes of the connected pieces of `label > 0` that are large enough, largest first."""
    pieces, count = ndimage.label(label > 0)
    if count == 0:
        return []
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    smallest = smallest_ml * 1000.0 / float(np.prod(spacing_mm))
    extents = ndimage.find_objects(pieces)
    order = [i for i in np.argsort(-sizes, kind="stable") if sizes[i] >= smallest]
    return [Box(*(s.start for s in extents[i]), *(s.stop for s in extents[i])) for i in order]


def _reader() -> Compose:
    keys = ["image", "label"]
    return Compose(
        [
            LoadImaged(keys, reader="NibabelReader", dtype=np.float32, image_only=True),
            EnsureChannelFirstd(keys, channel_dim="no_channel"),
            Orientationd(keys, axcodes=SCAN_AXCODES, labels=None),
        ]
    )


def _negative_box(image: torch.Tensor, label: torch.Tensor, like: Box, rng: np.random.Generator) -> Box | None:
    """A box of a kidney's size somewhere in the body that holds no kidney; None if 50 tries find none."""
    shape = image.shape
    size = [min(extent, whole) for extent, whole in zip(like.shape, shape, strict=True)]
    for _ in range(50):
        start = [int(rng.integers(0, whole - extent + 1)) for extent, whole in zip(size, shape, strict=True)]
        box = Box(*start, *(a + b for a, b in zip(start, size, strict=True)))
        inside = image[box.slices]
        if not label[box.slices].any() and (inside > -200.0).float().mean() > 0.7:
            return box
    return None


def _crop(
    image: torch.Tensor, label: torch.Tensor, box: Box, spacing_mm: Sequence[float], settings: CropSettings
) -> dict[str, Any]:
    target = resampled_shape(box.shape, spacing_mm, settings.spacing_mm)
    hu = image[(slice(None), *box.slices)].clamp(*HU_RANGE)
    hu = resample_to_shape(hu[None], target)[0]
    classes = functional.one_hot(label[0][box.slices].long().clamp(max=2), len(LABEL_NAMES)).permute(3, 0, 1, 2)
    # The class that fills most of a voxel: keeps small tumors where taking the nearest voxel may skip them.
    labels = resample_to_shape(classes[None].float(), target).argmax(1).to(torch.uint8)
    hu, labels = _pad(hu, settings.minimum_shape, HU_RANGE[0]), _pad(labels, settings.minimum_shape, 0)
    return {
        "image": hu.round().to(torch.int16),
        "label": labels,
        "label_cls_indices": [_some_indices(labels, value) for value in LABEL_NAMES],
    }


def _pad(volume: torch.Tensor, minimum_shape: Sequence[int], value: float) -> torch.Tensor:
    missing = [max(0, wanted - n) for wanted, n in zip(minimum_shape, volume.shape[1:], strict=True)]
    sides = [side for total in reversed(missing) for side in (total // 2, total - total // 2)]
    return functional.pad(volume, sides, value=value) if any(missing) else volume


def _some_indices(labels: torch.Tensor, value: int, most: int = 4000) -> np.ndarray:
    indices = np.flatnonzero(labels.numpy() == value)
    step = max(1, len(indices) // most)
    return indices[::step].astype(np.int32)
