"""Segments kidneys and tumors in two stages: kidneys in whole slices, then tumors in crops (Dahiya 2019)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from scipy import ndimage
from torch import nn

from nephro_monai.errors import BundleError
from nephro_monai.geometry import find_components, foreground_box, largest_components, spacing_mm
from nephro_monai.geometry.axial_frame import AxialFrame
from nephro_monai.geometry.axial_slices import kidney_windows, paste_slices, scan_slices
from nephro_monai.geometry.kidney_boxes import edges_to_box
from nephro_monai.geometry.kidney_split import split_kidneys
from nephro_monai.networks.autocast import autocast, bfloat16_is_fast
from nephro_monai.structures import Box, SliceGrid

__all__ = ["KidneysSeen", "SegmentTwoStaged", "SliceNetwork", "TwoStageSettings", "find_kidneys", "segment_kidneys"]

SliceNetwork = Callable[[torch.Tensor], torch.Tensor]
"""A module or function from slices (B, 1, H, W) in HU to logits (B, classes, H, W)."""

_CLASSES = 3


@dataclass(frozen=True)
class TwoStageSettings:
    """How a scan is brought before the two networks and back.

    Attributes:
        grid: Slices of the first stage, and what crops are cut out of, as in the training of the second.
        crop_size: Rows and columns of the second stage's crops, as in training.
        batch_size: Slices or crops per pass.
        smallest_kidney_ml: A region below this is no kidney.
        regions_per_kidney: Largest connected regions kept of each kidney, after either stage.
        box_margin_mm: Added around each kidney for its box.
        bfloat16: None uses bfloat16 on CUDA devices that have it (on CPUs ENet's thin layers are faster in float32);
            True or False decides by hand.
        first_grid: As in the training of the first stage, where that is known; must be the same.
    """

    grid: SliceGrid = field(default_factory=lambda: SliceGrid(4.0, 1.6, 256, 4.0))
    crop_size: int = 128
    batch_size: int = 4
    smallest_kidney_ml: float = 8.0
    regions_per_kidney: int = 1
    box_margin_mm: float = 15.0
    bfloat16: bool | None = None
    first_grid: SliceGrid | None = None

    def __post_init__(self) -> None:
        """Refuses stages that were trained on different slices, whose pixels are of other sizes.

        Raises:
            BundleError: If the grids differ.
        """
        if self.first_grid is not None and self.first_grid != self.grid:
            raise BundleError(
                f"The first stage was trained on {self.first_grid}, the second on {self.grid}. Train both with the "
                "same slice_size, pixel_spacing_mm and slice_spacing_mm, and give both the configurations (configs) or "
                "values (overrides) that they were trained with."
            )


class SegmentTwoStaged(MapTransform):
    """Kidneys and tumors of a scan by two 2-D networks, in place of a localizer and a segmenter.

    Stage 1 tells kidney with tumor from background in whole slices. Of its answer each kidney's largest connected
    region is kept. Stage 2 tells background, kidney and tumor in a crop around the centroid of the kidneys in each
    slice: one crop where it holds both kidneys, else one per kidney (`geometry.axial_slices.kidney_windows`); where two
    crops overlap their probabilities are averaged. Its answer replaces that of stage 1 inside the crops; what stage 1
    found outside of them stays, as kidney.

    Adds to the case dictionary:
        segmentation: uint8 MetaTensor (1, X, Y, Z) on the image's grid: 0 background, 1 kidney, 2 tumor; all 0 without
            a kidney.
        kidneys: list of `structures.Box` around what stage 1 found, the larger first; empty without a kidney.
        localization: {"found": bool, "fallback": False, "note": str, "detections": crops of stage 2}.
    """

    def __init__(
        self,
        first: SliceNetwork,
        second: SliceNetwork,
        keys: KeysCollection = "image",
        output_key: str = "segmentation",
        device: torch.device | str = "cpu",
        settings: TwoStageSettings | None = None,
    ) -> None:
        """Prepares the networks.

        Args:
            first: Gives logits (B, 2, size, size) for slices (B, 1, size, size) in HU.
            second: Gives logits (B, 3, crop, crop) for crops (B, 1, crop, crop) in HU.
            keys: Where the scan is: MetaTensor (1, X, Y, Z) in HU, R-A-S.
            output_key: Where the label map goes.
            device: Where the networks run.
            settings: Slices, crops and what counts as a kidney.

        Raises:
            ValueError: If more than one key is given.
        """
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"SegmentTwoStaged takes one scan, got the keys {self.keys}.")
        self.device = torch.device(device)
        self.first = _prepared(first, self.device)
        self.second = _prepared(second, self.device)
        self.output_key = output_key
        self.settings = settings or TwoStageSettings()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns the case with `segmentation`, `kidneys` and `localization`."""
        case = dict(data)
        image: MetaTensor = case[self.keys[0]]
        seen = find_kidneys(image, self.first, self.settings, self.device)
        label_map, crops = segment_kidneys(seen, self.second, self.settings, self.device)
        case[self.output_key] = MetaTensor(label_map[None], affine=image.affine)
        case["kidneys"] = _boxes(seen, self.settings)
        case["localization"] = {
            "found": bool(case["kidneys"]),
            "fallback": False,
            "note": _note(len(case["kidneys"])),
            "detections": crops,
        }
        return case


class KidneysSeen(NamedTuple):
    """What stage 1 saw.

    Attributes:
        hu: float32 (K, size, size), the slices of the scan.
        sides: uint8 of the same shape, kidney numbers: 0 background, 1 and 2 the kidneys with their tumors.
        frame: Where the slices lie in the scan.
        spacing_mm: Voxel size of the scan.
    """

    hu: torch.Tensor
    sides: np.ndarray
    frame: AxialFrame
    spacing_mm: tuple[float, float, float]


@torch.inference_mode()
def find_kidneys(
    image: MetaTensor, network: SliceNetwork, settings: TwoStageSettings, device: torch.device
) -> KidneysSeen:
    """Stage 1: the kidneys with their tumors in the slices of a scan.

    Args:
        image: (1, X, Y, Z) in HU, R-A-S.
        network: Gives logits (B, 2, size, size), on the device.
        settings: Slices and what counts as a kidney.
        device: Where the network is.
    """
    voxel_mm = spacing_mm(np.asarray(image.affine))
    hu, frame = scan_slices(image.as_tensor()[0], voxel_mm, settings.grid)
    mask = np.zeros(hu.shape, dtype=bool)
    for start in range(0, len(hu), settings.batch_size):
        part = slice(start, start + settings.batch_size)
        with _autocast(device, settings):
            logits = network(hu[part, None].to(device))
        mask[part] = (logits.argmax(1) > 0).cpu().numpy()
    return KidneysSeen(hu, _kept(mask, frame, voxel_mm, settings), frame, voxel_mm)


@torch.inference_mode()
def segment_kidneys(
    seen: KidneysSeen, network: SliceNetwork, settings: TwoStageSettings, device: torch.device
) -> tuple[torch.Tensor, int]:
    """Stage 2: background, kidney and tumor in crops around what stage 1 found.

    Args:
        seen: From `find_kidneys`.
        network: Gives logits (B, 3, crop, crop), on the device.
        settings: Crops and what counts as a kidney.
        device: Where the network is.

    Returns:
        uint8 (X, Y, Z) label map of the scan, and the number of crops.
    """
    label_map = torch.zeros(seen.frame.volume_shape, dtype=torch.uint8)
    size = settings.crop_size
    crops = [(k, *corner) for k, sides in enumerate(seen.sides) for corner in kidney_windows(sides, size)]
    if not crops:
        return label_map, 0
    part = _part(seen.sides, crops, size)
    first, top, left = part.xmin, part.ymin, part.zmin
    total = torch.zeros((part.shape[0], _CLASSES, *part.shape[1:]), dtype=torch.float16)
    count = torch.zeros((part.shape[0], 1, *part.shape[1:]), dtype=torch.uint8)
    for start in range(0, len(crops), settings.batch_size):
        some = crops[start : start + settings.batch_size]
        batch = torch.stack([seen.hu[k, r : r + size, c : c + size] for k, r, c in some])[:, None]
        with _autocast(device, settings):
            logits = network(batch.to(device))
        for (k, r, c), found in zip(some, torch.softmax(logits.float(), dim=1).half().cpu(), strict=True):
            window = (k - first, slice(None), slice(r - top, r - top + size), slice(c - left, c - left + size))
            total[window] += found
            count[window] += 1
    probabilities = _overlaid(total, count, seen.sides[part.slices])
    mask = np.zeros(seen.sides.shape, dtype=bool)
    mask[part.slices] = probabilities.argmax(1).numpy() > 0
    kept = _kept(mask, seen.frame, seen.spacing_mm, settings)[part.slices] > 0
    # One pixel more, since interpolation may move the border that far.
    near = torch.from_numpy(ndimage.binary_dilation(kept, np.ones((3, 3, 3))))[:, None]
    probabilities *= near
    probabilities[:, :1] += ~near
    paste_slices(probabilities, seen.frame, (first, top, left), label_map)
    return label_map, len(crops)


def _prepared(network: SliceNetwork, device: torch.device) -> SliceNetwork:
    """A module in evaluation mode on the device; other callables as they are."""
    return network.eval().to(device) if isinstance(network, nn.Module) else network


def _autocast(device: torch.device, settings: TwoStageSettings) -> torch.autocast:
    by_hand = settings.bfloat16
    return autocast(device, device.type == "cuda" and bfloat16_is_fast(device) if by_hand is None else by_hand)


def _part(sides: np.ndarray, crops: list[tuple[int, int, int]], size: int) -> Box:
    """The slices, rows and columns that hold all crops and all that stage 1 found; slices are its x."""
    found = foreground_box(sides)
    corners = np.asarray(crops)
    low, high = corners.min(axis=0), corners.max(axis=0) + np.array([1, size, size])
    if found is not None:
        low = np.minimum(low, (found.xmin, found.ymin, found.zmin))
        high = np.maximum(high, (found.xmax, found.ymax, found.zmax))
    return Box(*(int(n) for n in (*low, *high)))


def _overlaid(total: torch.Tensor, count: torch.Tensor, sides: np.ndarray) -> torch.Tensor:
    """Probabilities of stage 2 where it looked, else the answer of stage 1 as kidney; in place."""
    total /= count.clamp(min=1)
    outside = count[:, 0] == 0
    found = torch.from_numpy(sides > 0)
    total[:, 0][outside] = (~found[outside]).half()
    total[:, 1][outside] = found[outside].half()
    return total


def _kept(
    mask: np.ndarray, frame: AxialFrame, voxel_mm: tuple[float, float, float], settings: TwoStageSettings
) -> np.ndarray:
    """Kidney numbers (`split_kidneys`) of the regions of a mask that may be kidneys, 0 elsewhere; (K, size, size)."""
    pixel_mm = (
        frame.volume_shape[2] * voxel_mm[2] / len(frame.slice_ranges),
        frame.volume_shape[1] * voxel_mm[1] / frame.plane_shape[0],
        frame.volume_shape[0] * voxel_mm[0] / frame.plane_shape[1],
    )
    large = np.zeros(mask.shape, dtype=bool)
    components = find_components(mask, min_voxels=settings.smallest_kidney_ml * 1000 / float(np.prod(pixel_mm)))
    if components is not None:
        large[components.box.slices] = components.labels > 0
    sides = split_kidneys(large, pixel_mm)
    for number in (1, 2):
        one = sides == number
        sides[one & ~largest_components(one, settings.regions_per_kidney)] = 0
    return sides


def _boxes(seen: KidneysSeen, settings: TwoStageSettings) -> list[Box]:
    """Boxes of the scan around the kidneys of stage 1, the larger kidney first."""
    numbers = sorted((1, 2), key=lambda number: -int((seen.sides == number).sum()))
    boxes = []
    for box in (foreground_box(seen.sides == number) for number in numbers):
        if box is not None:
            edges = seen.frame.to_volume((box.zmin, box.ymin, box.zmax, box.ymax), (box.xmin, box.xmax))
            boxes.append(edges_to_box(edges, seen.frame.volume_shape, seen.spacing_mm, settings.box_margin_mm))
    return boxes


def _note(kidneys: int) -> str:
    """What was found, in a sentence."""
    if kidneys == 0:
        return "No kidney was found."
    return "Two kidneys were found." if kidneys == 2 else "One kidney was found."
