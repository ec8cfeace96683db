"""The two-stage segmentation, and its first stage alone, for MONAI's evaluators."""

from __future__ import annotations

from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch import nn

from nephro_monai.geometry import foreground_box
from nephro_monai.geometry.axial_slices import paste_slices
from nephro_monai.stages.two_stage import KidneysSeen, SegmentTwoStaged, SliceNetwork, TwoStageSettings, find_kidneys

__all__ = ["KidneySlicesInferer", "TwoStageInferer"]


class KidneySlicesInferer(Inferer):
    """Stage 1 alone on whole scans, for MONAI's evaluators.

    Args:
        settings: As in `stages.SegmentTwoStaged`.
    """

    def __init__(self, settings: TwoStageSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or TwoStageSettings()

    def __call__(self, inputs: torch.Tensor, network: SliceNetwork, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Masks of kidneys with their tumors.

        Args:
            inputs: MetaTensor (B, 1, X, Y, Z) in HU, R-A-S, with affines (B, 4, 4) or (4, 4).
            network: Of stage 1.
            *args: Unused.
            **kwargs: Unused.

        Returns:
            uint8 MetaTensor (B, 1, X, Y, Z), 0/1, with the inputs' affines and transforms.

        Raises:
            TypeError: If the inputs carry no affine.
        """
        if isinstance(network, nn.Module):
            network.eval()
        seen = (find_kidneys(image, network, self.settings, inputs.device) for image in _scans(inputs))
        return _like(inputs, [_mask(one)[None] for one in seen])


class TwoStageInferer(Inferer):
    """`SegmentTwoStaged` on whole scans, for MONAI's evaluators, which hold the network of stage 2.

    Args:
        first: Network of stage 1.
        settings: As in `stages.SegmentTwoStaged`.
    """

    def __init__(self, first: SliceNetwork, settings: TwoStageSettings | None = None) -> None:
        super().__init__()
        self.first = first
        self.settings = settings or TwoStageSettings()

    def __call__(self, inputs: torch.Tensor, network: SliceNetwork, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Label maps of whole scans.

        Args:
            inputs: MetaTensor (B, 1, X, Y, Z) in HU, R-A-S, with affines (B, 4, 4) or (4, 4).
            network: Of stage 2.
            *args: Unused.
            **kwargs: Unused.

        Returns:
            uint8 MetaTensor (B, 1, X, Y, Z), 0/1/2, with the inputs' affines and transforms.

        Raises:
            TypeError: If the inputs carry no affine.
        """
        step = SegmentTwoStaged(self.first, network, device=inputs.device, settings=self.settings)
        return _like(inputs, [step({"image": image})["segmentation"].as_tensor() for image in _scans(inputs)])


def _mask(seen: KidneysSeen) -> torch.Tensor:
    """uint8 (X, Y, Z): what stage 1 found, on the scan's grid."""
    label_map = torch.zeros(seen.frame.volume_shape, dtype=torch.uint8)
    box = foreground_box(seen.sides)
    if box is not None:
        slices, rows, columns = seen.sides.shape
        part = box.expanded((1, 1, 1), (slices, rows, columns))
        found = torch.from_numpy(seen.sides[part.slices] > 0)
        paste_slices(
            torch.stack((~found, found), dim=1).half(), seen.frame, (part.xmin, part.ymin, part.zmin), label_map
        )
    return label_map


def _scans(inputs: torch.Tensor) -> list[MetaTensor]:
    """The scans of a batch, each with its affine, on the CPU.

    Raises:
        TypeError: If the batch carries no affine.
    """
    if not isinstance(inputs, MetaTensor):
        raise TypeError("The two-stage inferers need MetaTensors: the affine gives the voxel size.")
    affines = inputs.affine.reshape(-1, 4, 4).expand(len(inputs), 4, 4)
    return [MetaTensor(s.cpu(), affine=a.cpu()) for s, a in zip(inputs.as_tensor(), affines, strict=True)]


def _like(inputs: torch.Tensor, label_maps: list[torch.Tensor]) -> torch.Tensor:
    """A batch of (1, X, Y, Z) label maps with the inputs' affines and transforms."""
    return MetaTensor(torch.stack(label_maps).to(inputs.device)).copy_meta_from(inputs, copy_attr=False)
