"""Class probabilities of a part of a scan, at a network's working spacing and back at the scan's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from monai.inferers import SlidingWindowInferer

from nephro_monai.constants import HU_RANGE, KIDNEY
from nephro_monai.geometry import window_to_unit
from nephro_monai.geometry.resampling import resample_to_shape, resampled_shape
from nephro_monai.networks.autocast import autocast
from nephro_monai.networks.cyst_class import kidney_with_cysts
from nephro_monai.stages.segment_settings import SegmentSettings

__all__ = ["Network", "argmax_at", "at_working_spacing", "class_probabilities"]

Network = Callable[[torch.Tensor], torch.Tensor]
_CHUNK_VALUES = 16_000_000  # class values held at the native spacing at a time (64 MB)


def class_probabilities(
    hu: torch.Tensor, voxel_mm: Sequence[float], network: Network, settings: SegmentSettings, device: torch.device
) -> torch.Tensor:
    """Mean over the views of the settings, each of sliding windows.

    Args:
        hu: (X, Y, Z) in HU.
        voxel_mm: Voxel size of `hu`.
        network: Logits (B, 3 or 4, *roi_size) for (B, 1, *roi_size) in -1..1.
        settings: Spacing, views, windows.
        device: Where the network runs.

    Returns:
        (3, x, y, z) of background, kidney and tumor at `settings.spacing_mm`.
    """
    working = resampled_shape(hu.shape, voxel_mm, settings.spacing_mm)
    total = torch.zeros((3, *working), device=device)
    for view in settings.views:
        spacing = [view.scale * size for size in settings.spacing_mm]
        shape = resampled_shape(hu.shape, voxel_mm, spacing)
        found = _seen(at_working_spacing(hu, shape, device), network, settings, view.mirror)
        total += found if tuple(shape) == tuple(working) else resample_to_shape(found[None], working)[0]
    return total / len(settings.views)


def _seen(hu: torch.Tensor, network: Network, settings: SegmentSettings, mirror: bool) -> torch.Tensor:
    windowed = window_to_unit(hu[None, None], settings.window_hu)

    def logits(patches: torch.Tensor) -> torch.Tensor:
        shown = patches.flip(2) if mirror else patches
        with autocast(hu.device, settings.bfloat16):
            found = network(shown.contiguous(memory_format=torch.channels_last_3d)).float()
        return found.flip(2) if mirror else found

    inferer = SlidingWindowInferer(
        settings.roi_size, settings.batch_size, settings.overlap, mode="gaussian", padding_mode="replicate"
    )
    found = torch.as_tensor(inferer(windowed, logits))[0]
    weights = torch.tensor([*settings.loss_weights, settings.loss_weights[KIDNEY]])[: len(found)]
    offsets = weights.log().to(found.device)
    return kidney_with_cysts(torch.softmax(found - offsets[:, None, None, None], dim=0))


def at_working_spacing(hu: torch.Tensor, working: Sequence[int], device: torch.device) -> torch.Tensor:
    """A scan at another spacing over the same field of view.

    Args:
        hu: (X, Y, Z) in HU.
        working: Wanted x, y, z.
        device: Where the result lies.

    Returns:
        (x, y, z) in HU, clamped to what a CT can hold.
    """
    return resample_to_shape(hu.to(device).clamp(*HU_RANGE)[None, None], working)[0, 0]


def argmax_at(probabilities: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """Most probable class at another spacing over the same field of view, a few slices at a time.

    Args:
        probabilities: (C, x, y, z).
        shape: Wanted X, Y, Z.

    Returns:
        uint8 (X, Y, Z) on the CPU.
    """
    classes, depth = probabilities.shape[0], probabilities.shape[3]
    label_map = torch.empty(shape, dtype=torch.uint8)
    centers = ((torch.arange(shape[2]) + 0.5) * (depth / shape[2]) - 0.5).clamp(0, depth - 1)
    lower = centers.floor().long().clamp(max=max(0, depth - 2))
    weight = (centers - lower).to(probabilities)
    upper = (lower + 1).clamp(max=depth - 1)
    step = max(1, _CHUNK_VALUES // (classes * shape[0] * shape[1]))
    for start in range(0, shape[2], step):
        part = slice(start, start + step)
        below, above = probabilities[..., lower[part]], probabilities[..., upper[part]]
        slices = torch.lerp(below, above, weight[part]).permute(3, 0, 1, 2)
        resampled = resample_to_shape(slices, shape[:2])
        label_map[:, :, part] = resampled.argmax(1).permute(1, 2, 0).to(torch.uint8).cpu()
    return label_map
