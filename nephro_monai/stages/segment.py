"""Outlines kidneys and tumors inside the localizer's boxes."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.transforms import MapTransform
from scipy import ndimage
from torch import nn

from nephro_monai.constants import KIDNEY
from nephro_monai.geometry import largest_components, spacing_mm
from nephro_monai.geometry.components import find_components
from nephro_monai.geometry.resampling import resample_to_shape, resampled_slices
from nephro_monai.stages.class_probabilities import Network, argmax_at, at_working_spacing, class_probabilities
from nephro_monai.stages.segment_settings import SegmentSettings
from nephro_monai.stages.tumor_pieces import cysts_become_kidney, drop_doubtful_tumors, drop_specks
from nephro_monai.structures import Box

__all__ = ["KidneyTumorInferer", "SegmentKidneyTumord", "SegmentSettings", "segment_box"]

_KIDNEY_ML = 10.0  # of kidney that a region holds which comes before larger ones without


class SegmentKidneyTumord(MapTransform):
    """Segments each kidney box and merges all boxes into one label map.

    The network also sees what is around a box that is smaller than its window. Of each box only the largest connected
    region of kidney and tumor is kept, one with kidney before one that is tumor all through (two where the box is the
    whole body, because the localizer found nothing). A region that reaches into the other kidney, such as a horseshoe
    kidney, is one region and stays whole. Where boxes overlap, a voxel is tumor if either box
    says so, else kidney if either says so.

    Reads `kidneys` (list of `Box`) and, where present, `localization["fallback"]`. Adds:
        segmentation: uint8 MetaTensor (1, X, Y, Z) on the image's grid: 0 background, 1 kidney, 2 tumor; all 0 if
            there is no box.
    """

    def __init__(
        self,
        network: Callable[[torch.Tensor], torch.Tensor],
        keys: KeysCollection = "image",
        output_key: str = "segmentation",
        kidneys_key: str = "kidneys",
        device: torch.device | str = "cpu",
        settings: SegmentSettings | None = None,
        others: Sequence[tuple[Network, SegmentSettings]] = (),
    ) -> None:
        """Prepares the networks.

        Args:
            network: Gives logits of background, kidney and tumor (B, 3, X, Y, Z) for (B, 1, X, Y, Z) in -1..1, or
                those and, in a fourth channel, cysts: their probabilities are added to the kidney's.
            keys: Where the scan is: MetaTensor (1, X, Y, Z) in HU, R-A-S.
            output_key: Where the label map goes.
            kidneys_key: Where the boxes are.
            device: Where the network runs.
            settings: Spacing, window, windows of the network.
            others: Further networks with their settings, such as of a coarser spacing: all say where kidney or tumor
                is (the mean background of all their views), the first one which of them.

        Raises:
            ValueError: If more than one key is given.
        """
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"SegmentKidneyTumord takes one scan, got the keys {self.keys}.")
        self.device = torch.device(device)
        self.network = _prepared(network, self.device)
        self.output_key = output_key
        self.kidneys_key = kidneys_key
        self.settings = settings or SegmentSettings()
        self.others = tuple((_prepared(other, self.device), own) for other, own in others)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns the case with `segmentation`."""
        case = dict(data)
        image: MetaTensor = case[self.keys[0]]
        whole_body = bool(case.get("localization", {}).get("fallback", False))
        networks = ((self.network, self.settings), *self.others)
        label_map = _segment_boxes(image, case[self.kidneys_key], networks, self.device, 2 if whole_body else 1)
        case[self.output_key] = MetaTensor(label_map[None], affine=image.affine)
        return case


class KidneyTumorInferer(Inferer):
    """`SegmentKidneyTumord` on the whole scan, for MONAI's evaluators: no localizer, two regions kept.

    Args:
        settings: As in `SegmentKidneyTumord`.
    """

    def __init__(self, settings: SegmentSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or SegmentSettings()

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Label maps of whole scans.

        Args:
            inputs: MetaTensor (B, 1, X, Y, Z) in HU, R-A-S, with affines (B, 4, 4) or (4, 4).
            network: As in `SegmentKidneyTumord`.
            *args: Unused.
            **kwargs: Unused.

        Returns:
            uint8 MetaTensor (B, 1, X, Y, Z), 0/1/2, with the inputs' affines and transforms.

        Raises:
            TypeError: If the inputs carry no affine.
        """
        if not isinstance(inputs, MetaTensor):
            raise TypeError("KidneyTumorInferer needs MetaTensors: the affine gives the voxel size.")
        prepared = _prepared(network, inputs.device)
        affines = inputs.affine.reshape(-1, 4, 4).expand(len(inputs), 4, 4)
        plain = inputs.as_tensor()
        results = []
        for scan, affine in zip(plain, affines, strict=True):
            image = MetaTensor(scan.cpu(), affine=affine.cpu())
            whole = [Box(0, 0, 0, *(int(n) for n in scan.shape[1:]))]
            results.append(_segment_boxes(image, whole, ((prepared, self.settings),), inputs.device, 2)[None])
        return MetaTensor(torch.stack(results).to(inputs.device)).copy_meta_from(inputs, copy_attr=False)


@torch.inference_mode()
def segment_box(
    hu: torch.Tensor,
    voxel_mm: Sequence[float],
    networks: Sequence[tuple[Network, SegmentSettings]],
    device: torch.device,
    regions: int = 1,
    core: Box | None = None,
) -> torch.Tensor:
    """Label map of one box at its own spacing.

    Logits are held at the working spacing only; at the native spacing a few slices at a time.

    Args:
        hu: (X, Y, Z) in HU.
        voxel_mm: Voxel size of `hu`.
        networks: At least one, each with its settings: logits (B, 3 or 4, *roi_size) for (B, 1, *roi_size) in -1..1.
            The backgrounds of all views of all are averaged at the first one's spacing; the first one alone tells tumor
            from kidney, and its settings say what is too small.
        device: Where the networks run.
        regions: How many connected regions are kept: the largest, those with kidney first.
        core: Part of `hu` that is segmented, what is around it is seen only; None for all of it.

    Returns:
        uint8 (X, Y, Z) on the CPU.
    """
    (first, settings), *others = networks
    probabilities = class_probabilities(hu, voxel_mm, first, settings, device)
    background = len(settings.views) * probabilities[0]
    for other, own in others:
        found = class_probabilities(hu, voxel_mm, other, own, device)
        background += len(own.views) * resample_to_shape(found[None, :1], probabilities.shape[1:])[0, 0]
    if others:
        background /= sum(len(own.views) for _, own in networks)
        probabilities[1:] *= (1 - background) / probabilities[1:].sum(0).clamp(min=1e-6)
        probabilities[0] = background
    working = (probabilities.shape[1], probabilities.shape[2], probabilities.shape[3])
    smallest, kidney = np.array([settings.smallest_kidney_ml, _KIDNEY_ML]) * 1000.0 / np.prod(settings.spacing_mm)
    if core is not None:
        around = torch.ones(working, dtype=torch.bool, device=probabilities.device)
        around[resampled_slices(core.slices, hu.shape, working)] = False
        probabilities *= ~around
        probabilities[0] += around
    if not _keep_regions(probabilities, regions, smallest, kidney):
        return torch.zeros(tuple(hu.shape), dtype=torch.uint8)
    drop_doubtful_tumors(probabilities, settings.least_tumor_confidence)
    if settings.simple_cysts is not None:
        cysts_become_kidney(probabilities, at_working_spacing(hu, working, device), settings.simple_cysts)
    label_map = argmax_at(probabilities, (hu.shape[0], hu.shape[1], hu.shape[2]))
    label_map *= torch.from_numpy(largest_components(label_map.numpy(), regions))
    drop_specks(label_map, settings.smallest_tumor_ml * 1000.0 / float(np.prod(voxel_mm[:3])))
    return label_map


def _segment_boxes(
    image: MetaTensor,
    boxes: Sequence[Box],
    networks: Sequence[tuple[Network, SegmentSettings]],
    device: torch.device,
    regions: int,
) -> torch.Tensor:
    """uint8 (X, Y, Z) label map of all boxes of a (1, X, Y, Z) scan."""
    hu = image.as_tensor()[0]
    voxel_mm = spacing_mm(image.affine.numpy())
    label_map = torch.zeros(tuple(hu.shape), dtype=torch.uint8)
    widest = [max(view.scale for view in own.views) * np.multiply(own.roi_size, own.spacing_mm) for _, own in networks]
    windows = np.max(widest, axis=0)
    least = [math.ceil(extent / own) + 1 for extent, own in zip(windows.tolist(), voxel_mm, strict=True)]
    for box in boxes:
        # Fills the network's window: a kidney between borders padded with air is one that training never showed.
        seen = box.at_least(least, hu.shape)
        found = segment_box(hu[seen.slices], voxel_mm, networks, device, regions, box.relative_to(seen))
        torch.maximum(label_map[seen.slices], found, out=label_map[seen.slices])
    return label_map


def _prepared(network: Callable[..., torch.Tensor], device: torch.device) -> Callable[..., torch.Tensor]:
    """A module in evaluation mode on the device, its kernels in channels-last order; other callables as they are."""
    if not isinstance(network, nn.Module):
        return network
    return network.eval().to(device).to(memory_format=torch.channels_last_3d)


def _keep_regions(
    probabilities: torch.Tensor, regions: int, smallest_voxels: float, kidney_voxels: float = 0.0
) -> bool:
    """Makes everything background, in place, but a few connected regions; False if there is none.

    Regions that hold at least 10 ml of kidney come before those that do not: beside a kidney, something larger that is
    tumor all through is a spleen or a liver. No region of the 120 training label maps with a tumor has less than 48 ml.

    Args:
        probabilities: (3, X, Y, Z) at the working spacing.
        regions: How many are kept.
        smallest_voxels: Smaller ones are not.
        kidney_voxels: That hold kidney where a region comes first.
    """
    classes = probabilities.argmax(0).cpu().numpy()
    components = find_components(classes > 0, min_voxels=smallest_voxels)
    if components is None:
        return False
    labels = components.labels
    kidney = np.bincount(labels[classes[components.box.slices] == KIDNEY], minlength=int(labels.max()) + 1)[1:]
    # Labels are in order of size, which a stable sort keeps.
    first = 1 + np.argsort(kidney < kidney_voxels, kind="stable")[:regions]
    kept = np.zeros(classes.shape, dtype=bool)
    kept[components.box.slices] = np.isin(labels, first)
    # One voxel more, since interpolation may move the border that far.
    near = torch.from_numpy(ndimage.binary_dilation(kept, np.ones((3, 3, 3)))).to(probabilities.device)
    probabilities *= near
    probabilities[0] += ~near
    return True
