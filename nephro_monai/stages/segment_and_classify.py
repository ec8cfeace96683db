"""Outlines kidneys and tumors and classifies every slice in one pass of one network (Pan 2019)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.transforms import MapTransform
from torch import nn

from nephro_monai.constants import HU_RANGE, LABEL_NAMES, SEGMENTATION_WINDOW_HU, SLICE_CLASS_NAMES
from nephro_monai.errors import BundleError
from nephro_monai.geometry.axial_stack import StackGrid, sample_axial_stack, stack_label_map, window_starts
from nephro_monai.geometry.components import find_components
from nephro_monai.geometry.intensity import window_to_unit
from nephro_monai.geometry.measurements import spacing_mm
from nephro_monai.networks.autocast import autocast
from nephro_monai.networks.two_step_head import network_outputs
from nephro_monai.stages.slice_stack_votes import JudgedStack, stack_votes
from nephro_monai.structures import Box

__all__ = ["SegmentAndClassifyd", "SliceStackInferer", "SliceStackSettings"]


@dataclass(frozen=True)
class SliceStackSettings:
    """How a kidney box is brought before the network and back.

    Attributes:
        grid: Pixels and slices, as in training.
        window_hu: Scaled to -1..1, as in training.
        overlap: Of neighboring windows, as a share, where a box is larger than the network's input.
        batch_size: Slices per pass.
        smallest_kidney_ml: A region below this is no kidney.
        smallest_tumor_ml: A tumor below this gets no votes; as in `MeasureKidneysd`.
        loss_weights: Weights of the pixel classes in the training's loss; their logarithms are taken off the logits
            (logit adjustment, Menon 2021, arXiv 2007.07314).
        bfloat16: None uses bfloat16 where the hardware has it; True or False decides by hand.
    """

    grid: StackGrid = field(default_factory=StackGrid)
    window_hu: tuple[float, float] = SEGMENTATION_WINDOW_HU
    overlap: float = 0.25
    batch_size: int = 16
    smallest_kidney_ml: float = 2.0
    smallest_tumor_ml: float = 0.1
    loss_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    bfloat16: bool | None = None


class SegmentAndClassifyd(MapTransform):
    """Runs a multi-task network on the axial slices of each kidney box: outlines and votes at once.

    Of each box only the largest connected region of kidney and tumor is kept (two where the box is the whole body,
    because the localizer found nothing); where boxes overlap, tumor wins over kidney and kidney over background.

    Every slice of a box is classified as benign, malignant or normal. What goes to the vote: slices judged to hold
    tumor, each for the outlined tumors of its kidney that it cuts, or for the nearest one above or below where it cuts
    none; and, without a say, slices through an outlined tumor that were judged normal. Slices of kidneys without an
    outlined tumor do not vote.

    Reads `kidneys` (list of `Box`), `scan` and, where present, `localization["fallback"]`. Adds:
        segmentation: uint8 MetaTensor (1, X, Y, Z) on the image's grid: 0 background, 1 kidney, 2 tumor.
        slice_votes: list of `structures.SliceVote` with probabilities and vote, for `VoteMalignancyd`; empty if the
            network has no classifier.
        slice_probabilities: float32 (S, 3) of `constants.SLICE_CLASS_NAMES`, one row per vote.
        tumor_slices: float32 (S, 1, size, size) in HU of the first phase: what the network saw.
    """

    def __init__(
        self,
        network: nn.Module,
        keys: KeysCollection = "image",
        second_key: str | None = None,
        classifier: nn.Module | None = None,
        device: torch.device | str = "cpu",
        settings: SliceStackSettings | None = None,
    ) -> None:
        """Prepares the network.

        Args:
            network: SCNet, or a plain segmentation network for slices (B, phases, H, W) in -1..1.
            keys: Where the scan is: MetaTensor (1, X, Y, Z) in HU, R-A-S.
            second_key: Where the registered second phase is (from `LoadSecondPhased`); None for one phase.
            classifier: Another network for the classes of the same slices, such as a plain ResNet; None for the
                network's own classes.
            device: Where the networks run.
            settings: Pixels, window, batches.

        Raises:
            ValueError: If more than one key is given.
            BundleError: If a network takes another number of phases than are read.
        """
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"SegmentAndClassifyd takes one scan, got the keys {self.keys}.")
        for one in (network, classifier):
            _check_phases(one, 1 if second_key is None else 2)
        self.device = torch.device(device)
        self.network = network.eval().to(self.device).to(memory_format=torch.channels_last)
        self.classifier = None
        if classifier is not None:
            self.classifier = classifier.eval().to(self.device).to(memory_format=torch.channels_last)
        self.second_key = second_key
        self.settings = settings or SliceStackSettings()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns the case with outlines and votes.

        Raises:
            ValueError: If the second phase is not on the scan's grid.
        """
        case = dict(data)
        image: MetaTensor = case[self.keys[0]]
        phases = [image.as_tensor()]
        if self.second_key is not None:
            phases.append(torch.as_tensor(case[self.second_key]).as_subclass(torch.Tensor))
            if phases[1].shape != phases[0].shape:
                raise ValueError(f"The phases must have one shape, got {[tuple(phase.shape) for phase in phases]}.")
        regions = 2 if case.get("localization", {}).get("fallback", False) else 1
        affine = np.asarray(image.affine, dtype=np.float64)
        runner = _Runner(self.network, self.settings, self.device, self.classifier)
        label_map, judged = runner(phases, affine, case["kidneys"], regions)
        case["segmentation"] = MetaTensor(label_map[None], affine=image.affine)
        votes, probabilities, crops = stack_votes(
            judged, label_map.numpy(), affine, case["scan"], self.settings.smallest_tumor_ml
        )
        size = self.settings.grid.size
        case["slice_votes"] = votes
        case["slice_probabilities"] = torch.tensor(probabilities).reshape(-1, len(SLICE_CLASS_NAMES))
        case["tumor_slices"] = torch.stack(crops)[:, None] if crops else torch.zeros((0, 1, size, size))
        return case


class SliceStackInferer(Inferer):
    """The outlines of `SegmentAndClassifyd` on whole scans, for MONAI's evaluators: no localizer, two largest regions.

    Args:
        settings: As in `SegmentAndClassifyd`.
    """

    def __init__(self, settings: SliceStackSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or SliceStackSettings()

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Label maps of whole scans.

        Args:
            inputs: MetaTensor (B, phases, X, Y, Z) in HU, R-A-S, with affines (B, 4, 4) or (4, 4).
            network: As in `SegmentAndClassifyd`.
            *args: Unused.
            **kwargs: Unused.

        Returns:
            uint8 MetaTensor (B, 1, X, Y, Z), 0/1/2, with the inputs' affines and transforms.

        Raises:
            TypeError: If the inputs carry no affine.
        """
        if not isinstance(inputs, MetaTensor):
            raise TypeError("SliceStackInferer needs MetaTensors: the affine gives the voxel size.")
        prepared = network.eval().to(inputs.device).to(memory_format=torch.channels_last)
        affines = inputs.affine.reshape(-1, 4, 4).expand(len(inputs), 4, 4)
        whole = Box(0, 0, 0, *(int(n) for n in inputs.shape[2:]))
        runner = _Runner(prepared, self.settings, inputs.device)
        found = []
        for scan, affine in zip(inputs.as_tensor().cpu(), affines, strict=True):
            found.append(runner(list(scan.split(1)), affine.cpu().numpy(), [whole], 2)[0][None])
        return MetaTensor(torch.stack(found).to(inputs.device)).copy_meta_from(inputs, copy_attr=False)


@dataclass(frozen=True)
class _Runner:
    """A prepared network and how slices are brought before it."""

    network: nn.Module
    settings: SliceStackSettings
    device: torch.device
    classifier: nn.Module | None = None

    def __call__(
        self, phases: Sequence[torch.Tensor], affine: np.ndarray, boxes: Sequence[Box], regions: int
    ) -> tuple[torch.Tensor, list[JudgedStack]]:
        """uint8 (X, Y, Z) label map of all boxes of (1, X, Y, Z) phases, and what was judged of their slices."""
        grid = self.settings.grid
        voxel_mm = spacing_mm(affine)
        smallest = self.settings.smallest_kidney_ml * 1000.0 / float(np.prod(voxel_mm))
        label_map = torch.zeros(tuple(phases[0].shape[1:]), dtype=torch.uint8)
        judged = []
        for box in boxes:
            stacks = [sample_axial_stack(phase, voxel_mm, box, grid) for phase in phases]
            stack = replace(stacks[0], slices=torch.cat([one.slices for one in stacks], dim=1))
            pixels, classes, corners = self._judge(stack.slices)
            found = stack_label_map(pixels, stack)
            components = find_components(found.numpy(), min_voxels=smallest)
            if components is None:
                continue
            kept = torch.zeros(found.shape, dtype=torch.bool)
            kept[components.box.slices] = torch.from_numpy((components.labels > 0) & (components.labels <= regions))
            torch.maximum(label_map[box.slices], found * kept, out=label_map[box.slices])
            if classes is not None:
                judged.append(JudgedStack(stack, classes, corners, grid.size))
        return label_map, judged

    @torch.inference_mode()
    def _judge(self, slices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, list[tuple[int, int]]]:
        """Pixel probabilities (K, 3, side, side), class probabilities (K, 3), and the window each class came from.

        Where a slice is larger than the network's input, windows are averaged where they overlap, and the class is
        that of the window with the most kidney in it.
        """
        side, size = slices.shape[-1], self.settings.grid.size
        starts = window_starts(side, size, self.settings.overlap)
        corners = [(top, left) for top in starts for left in starts]
        taper = _taper(size) if len(corners) > 1 else torch.ones((size, size))
        # Half precision: a whole body at 1 mm would be a quarter of a gigabyte otherwise.
        pixels = torch.zeros((len(slices), len(LABEL_NAMES), side, side), dtype=torch.float16)
        weight = torch.zeros((side, side))
        kidney, classes = [], []
        for top, left in corners:
            window = (..., slice(top, top + size), slice(left, left + size))
            found, answers = self._answers(slices[window])
            pixels[window] += (found * taper).half()
            weight[window] += taper
            kidney.append((1 - found[:, 0]).sum((1, 2)))
            classes += [answers] if answers is not None else []
        best = torch.stack(kidney).argmax(0)
        chosen = torch.stack(classes)[best, torch.arange(len(slices))] if classes else None
        return pixels.div_(weight.half()), chosen, [corners[int(number)] for number in best]

    def _answers(self, slices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Probabilities of pixels (K, 3, size, size) and of classes (K, 3) for (K, phases, size, size) in HU."""
        offsets = torch.tensor(self.settings.loss_weights).log()[:, None, None].to(self.device)
        pixels, classes = [], []
        for part in slices.split(self.settings.batch_size):
            batch = window_to_unit(part.to(self.device).clamp(*HU_RANGE), self.settings.window_hu)
            batch = batch.contiguous(memory_format=torch.channels_last)
            with autocast(self.device, self.settings.bfloat16):
                outputs = network_outputs(self.network, batch)
                if self.classifier is not None:
                    outputs = outputs._replace(classes=network_outputs(self.classifier, batch).classes)
            if outputs.ternary is None:
                raise ValueError("This network outlines nothing; give one with a segmentation head, such as SCNet.")
            pixels.append(torch.softmax(outputs.ternary.float() - offsets, dim=1).cpu())
            if outputs.classes is not None:
                classes.append(torch.softmax(outputs.classes.float(), dim=1).cpu())
        return torch.cat(pixels), torch.cat(classes) if classes else None


def _check_phases(network: nn.Module | None, phases: int) -> None:
    """Refuses a network whose first convolution takes one phase where two are read, or two where one is."""
    modules = () if network is None else network.modules()
    taken = next((module.in_channels for module in modules if isinstance(module, nn.Conv2d)), phases)
    if taken in (1, 2) and taken != phases:
        raise BundleError(
            f"The network takes {taken} contrast phase(s), but the journey brings {phases}. Networks of two phases run "
            "with scnet_two_phase.json of nephro_cascade (second_key names the second phase), others with scnet.json."
        )


def _taper(size: int) -> torch.Tensor:
    """Weights of a window's pixels that fall toward its rim, never to 0."""
    line = 1 - torch.linspace(-1, 1, size).abs() * 0.98
    return torch.outer(line, line).clamp(min=1e-2)
