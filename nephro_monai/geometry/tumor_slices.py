"""Axial crops through tumors: the same slices and the same sampling in training and in use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch.nn import functional

from nephro_monai.constants import HU_RANGE
from nephro_monai.geometry.axial import volume_to_axial
from nephro_monai.geometry.components import Components
from nephro_monai.geometry.measurements import find_tumors, spacing_mm

__all__ = [
    "CropRegion",
    "TumorCropSettings",
    "TumorSlice",
    "crop_tumor_slices",
    "nearest_axial_crops",
    "sample_axial_crops",
    "select_tumor_slices",
    "tumor_slice_crops",
]

CropRegion = Literal["crop", "roi", "box", "slice"]


@dataclass(frozen=True)
class TumorCropSettings:
    """Which slices are cut through a tumor, and how.

    Attributes:
        size: Rows and columns of a crop (130 in ColorNephroNet).
        spacing_mm: Pixel size of a crop.
        max_slices_per_tumor: More slices are thinned out evenly.
        min_area_mm2: Slices with less tumor are left out, except a tumor's largest one.
        min_area_share: Slices with less than this share of the tumor's largest cross-section are left out: near its
            poles a tumor shows little of what it is made of.
        min_tumor_ml: Smaller tumors are left out.
        region: "crop" as it is; "roi" with everything but the tumor blanked, "box" with everything outside the
            tumor's bounding rectangle blanked (ROI and RBR of Zhou 2019); "slice" the whole axial slice resized to
            `size` x `size` (then `spacing_mm` does not apply).
        outside_hu: Value beyond the scan and of what is blanked.
    """

    size: int = 130
    spacing_mm: float = 0.8
    max_slices_per_tumor: int = 32
    min_area_mm2: float = 25.0
    min_area_share: float = 0.3
    min_tumor_ml: float = 0.1
    region: CropRegion = "crop"
    outside_hu: float = HU_RANGE[0]

    def __post_init__(self) -> None:
        """Refuses settings that cannot be cut.

        Raises:
            ValueError: If a size is not positive or the region is unknown.
        """
        if self.region not in get_args(CropRegion):
            raise ValueError(f"The region of a crop is one of {', '.join(get_args(CropRegion))}, got {self.region!r}.")
        if self.size < 1 or self.spacing_mm <= 0 or self.max_slices_per_tumor < 1:
            raise ValueError(f"Size, spacing and number of slices must be above 0, got {self}.")
        if not 0 <= self.min_area_share <= 1:
            raise ValueError(
                f"The smallest share of the largest cross-section lies in 0..1, got {self.min_area_share}."
            )
        if self.min_area_mm2 < 0 or self.min_tumor_ml < 0:
            raise ValueError(f"The smallest area and the smallest tumor must not be negative, got {self}.")


@dataclass(frozen=True)
class TumorSlice:
    """One axial slice through one tumor.

    Attributes:
        tumor: Index of the tumor, 1 for the largest.
        z: Slice of the R-A-S volume.
        center_xy: Centroid of the tumor in this slice, in voxels.
        area_mm2: Tumor area in this slice.
    """

    tumor: int
    z: int
    center_xy: tuple[float, float]
    area_mm2: float


def select_tumor_slices(tumors: Components, affine: np.ndarray, settings: TumorCropSettings) -> list[TumorSlice]:
    """Chooses the slices: by tumor, from inferior to superior.

    Args:
        tumors: From `find_tumors`.
        affine: (4, 4) voxel-to-mm matrix.
        settings: Least area and largest number.
    """
    x_mm, y_mm, _ = spacing_mm(affine)
    chosen = []
    for index, box in enumerate(tumors.boxes, start=1):
        mask = tumors.mask(index)
        areas = mask.sum(axis=(0, 1)) * (x_mm * y_mm)
        least = max(settings.min_area_mm2, settings.min_area_share * areas.max())
        wanted = np.flatnonzero(areas >= min(least, areas.max()))
        wanted = wanted[areas[wanted] > 0]
        count = min(len(wanted), settings.max_slices_per_tumor)
        # Middles of equal stretches: a single slice is the middle one, not the lower pole.
        spread = np.floor((np.arange(count) + 0.5) * len(wanted) / count).astype(int)
        for z in wanted[spread]:
            x, y = (float(positions.mean()) for positions in np.nonzero(mask[:, :, z]))
            chosen.append(TumorSlice(index, int(z) + box.zmin, (x + box.xmin, y + box.ymin), float(areas[z])))
    return chosen


def sample_axial_crops(
    volume: torch.Tensor,
    centers: torch.Tensor,
    voxel_mm: Sequence[float],
    size: int,
    crop_mm: float,
    outside: float = HU_RANGE[0],
) -> torch.Tensor:
    """Samples square axial crops around points of a volume, all in one batch.

    Bilinear; where the crop's pixels are larger than the voxels, several points per pixel are averaged, so that
    noise is not aliased. Rows run to posterior, columns to the patient's left; the center lies in the middle of the
    crop (between the two middle pixels for an even size).

    Args:
        volume: (C, X, Y, Z), axes R-A-S, any real type.
        centers: (N, 3) voxel coordinates x, y (fractions allowed) and z (rounded).
        voxel_mm: Voxel size along x and y (more are ignored).
        size: Rows and columns of a crop.
        crop_mm: Pixel size of a crop.
        outside: Value beyond the volume.

    Returns:
        (N, C, size, size) float32.
    """
    if len(centers) == 0:
        return torch.zeros((0, volume.shape[0], size, size), dtype=torch.float32)
    lows, highs = [], []
    for axis in (0, 1):  # only what the crops can see is touched
        reach = (size * crop_mm / 2) / float(voxel_mm[axis]) + 2
        last = volume.shape[axis + 1] - 1
        lows.append(min(max(math.floor(float(centers[:, axis].min()) - reach), 0), last))
        highs.append(min(max(math.ceil(float(centers[:, axis].max()) + reach), lows[-1]), last) + 1)
    zs = centers[:, 2].round().long().clamp(0, volume.shape[3] - 1)
    window = volume[:, lows[0] : highs[0], lows[1] : highs[1]]
    slices = window[..., zs].permute(3, 0, 2, 1).float() - outside  # (N, C, y, x), zero outside
    grids, fine = [], []
    for axis, count in ((0, slices.shape[3]), (1, slices.shape[2])):
        step = max(1, math.ceil(crop_mm / float(voxel_mm[axis]) - 1e-3))
        pixels = (torch.arange(size * step, dtype=torch.float64) + 0.5) / step - size / 2
        voxels = centers[:, axis, None].double() - lows[axis] - pixels * (crop_mm / float(voxel_mm[axis]))
        grids.append(((2 * voxels + 1) / count - 1).float())
        fine.append(step)
    x, y = grids
    grid = torch.stack([x[:, None, :].expand(-1, y.shape[1], -1), y[:, :, None].expand(-1, -1, x.shape[1])], dim=-1)
    crops = functional.grid_sample(slices, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    if fine != [1, 1]:
        crops = functional.avg_pool2d(crops, kernel_size=(fine[1], fine[0]))
    return crops + outside


def nearest_axial_crops(
    ids: torch.Tensor, centers: torch.Tensor, voxel_mm: Sequence[float], size: int, crop_mm: float
) -> torch.Tensor:
    """`sample_axial_crops` for ids, which must not be mixed: the nearest voxel's, 0 beyond the volume in the plane.

    Args:
        ids: (1, X, Y, Z) integers, axes R-A-S.
        centers: (N, 3) voxel coordinates x, y (fractions allowed) and z (rounded, and kept inside the volume).
        voxel_mm: Voxel size along x and y (more are ignored).
        size: Rows and columns of a crop.
        crop_mm: Pixel size of a crop.

    Returns:
        (N, 1, size, size) of the type of `ids`.
    """
    offsets = (torch.arange(size, dtype=torch.float64) + 0.5 - size / 2) * crop_mm
    # Not `round`: of voxels that are equally near it takes the even ones, every second one twice.
    x = (centers[:, 0, None] - offsets / voxel_mm[0] + 0.5).floor().long()[:, None, :]
    y = (centers[:, 1, None] - offsets / voxel_mm[1] + 0.5).floor().long()[:, :, None]
    z = (centers[:, 2] + 0.5).floor().long()[:, None, None]
    _, width, height, depth = ids.shape
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    crops = ids[0, x.clamp(0, width - 1), y.clamp(0, height - 1), z.clamp(0, depth - 1)]
    return torch.where(inside, crops, torch.zeros_like(crops))[:, None]


def crop_tumor_slices(
    image: torch.Tensor,
    tumors: Components,
    slices: Sequence[TumorSlice],
    affine: np.ndarray,
    settings: TumorCropSettings,
) -> torch.Tensor:
    """Cuts the chosen slices.

    Args:
        image: (1, X, Y, Z) in HU, axes R-A-S.
        tumors: From `find_tumors`; needed for the regions "roi" and "box".
        slices: From `select_tumor_slices`.
        affine: (4, 4) voxel-to-mm matrix.
        settings: Size, spacing and region.

    Returns:
        (S, 1, size, size) float32 in HU.
    """
    if not slices:
        return torch.zeros((0, 1, settings.size, settings.size), dtype=torch.float32)
    if settings.region == "slice":
        whole = volume_to_axial(image[..., [item.z for item in slices]].float())
        return functional.interpolate(
            whole, size=(settings.size, settings.size), mode="bilinear", antialias=True, align_corners=False
        )
    centers = torch.tensor([(*item.center_xy, item.z) for item in slices], dtype=torch.float64)
    size, pixel_mm, voxel_mm = settings.size, settings.spacing_mm, spacing_mm(affine)
    crops = sample_axial_crops(image, centers, voxel_mm, size, pixel_mm, settings.outside_hu)
    if settings.region == "crop":
        return crops
    masks = torch.cat([_sampled_mask(tumors, item, voxel_mm, settings) for item in slices])
    if settings.region == "box":
        masks = _rectangles(masks)
    return torch.where(masks, crops, torch.full((), settings.outside_hu))


def tumor_slice_crops(
    image: torch.Tensor, label_map: torch.Tensor, affine: np.ndarray, settings: TumorCropSettings | None = None
) -> tuple[torch.Tensor, list[TumorSlice]]:
    """Crops through every tumor of a label map, as training data is made and as the cascade cuts them.

    Args:
        image: (1, X, Y, Z) in HU, axes R-A-S.
        label_map: (1, X, Y, Z), 2 = tumor.
        affine: (4, 4) voxel-to-mm matrix.
        settings: How to cut.

    Returns:
        (S, 1, size, size) float32 in HU, and one `TumorSlice` per crop; S is 0 without a tumor.

    Raises:
        ValueError: If image and label map differ in shape.
    """
    settings = settings or TumorCropSettings()
    if image.shape != label_map.shape or image.ndim != 4 or image.shape[0] != 1:
        raise ValueError(
            f"Image and label map must both be (1, X, Y, Z), got {tuple(image.shape)} and {tuple(label_map.shape)}."
        )
    affine = np.asarray(affine, dtype=np.float64)
    tumors = find_tumors(label_map[0].cpu().numpy(), affine, settings.min_tumor_ml)
    if tumors is None:
        return torch.zeros((0, 1, settings.size, settings.size), dtype=torch.float32), []
    slices = select_tumor_slices(tumors, affine, settings)
    return crop_tumor_slices(image, tumors, slices, affine, settings), slices


def _sampled_mask(
    tumors: Components, item: TumorSlice, voxel_mm: tuple[float, float, float], settings: TumorCropSettings
) -> torch.Tensor:
    """(1, 1, size, size): where the tumor lies in its crop."""
    box = tumors.boxes[item.tumor - 1]
    mask = torch.from_numpy(tumors.mask(item.tumor)[:, :, item.z - box.zmin].copy())[None, :, :, None]
    center = torch.tensor([[item.center_xy[0] - box.xmin, item.center_xy[1] - box.ymin, 0.0]], dtype=torch.float64)
    return sample_axial_crops(mask, center, voxel_mm, settings.size, settings.spacing_mm, 0.0) >= 0.5


def _rectangles(masks: torch.Tensor) -> torch.Tensor:
    """Each mask's bounding rectangle, filled."""
    filled = []
    for dim in (2, 3):
        line = masks.any(dim=5 - dim, keepdim=True)
        after_first = line.long().cumsum(dim) > 0
        before_last = line.flip(dim).long().cumsum(dim).flip(dim) > 0
        filled.append(after_first & before_last)
    return filled[0] & filled[1]
