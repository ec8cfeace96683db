"""Finds the kidneys of a scan: slices through the detector, slice boxes to 3-D boxes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from scipy import ndimage
from torch import nn

from nephro_monai.constants import DETECTION_WINDOW_HU
from nephro_monai.geometry.axial_frame import AxialFrame, axial_planes, body_frame, crop_to_frame
from nephro_monai.geometry.components import find_components
from nephro_monai.geometry.intensity import window_to_unit
from nephro_monai.geometry.kidney_boxes import MergeSettings, SliceDetections, edges_to_box, merge_slice_boxes
from nephro_monai.geometry.measurements import spacing_mm
from nephro_monai.networks.autocast import autocast
from nephro_monai.structures import Box, SliceGrid

__all__ = ["LocalizeKidneysd"]

_BODY_HU = -300.0
_TABLE_MM = 8.0


class LocalizeKidneysd(MapTransform):
    """Boxes around the kidneys of a scan (Kamkova 2019, stages 2 to 4).

    The scan is resampled along its axis and in the plane, slab by slab; the coarse slices go through the detector in
    batches; `geometry.merge_slice_boxes` makes kidneys of the slice boxes. Where it finds none, the whole body (what is
    denser than -300 HU, without the table) is the box, and `localization` says so.

    Adds to the case dictionary:
        kidneys: list of `structures.Box`, the better seen kidney first, never empty.
        localization: {"found": bool, "fallback": bool, "note": str, "detections": int}.
        warnings: a sentence more where no kidney was found.
    """

    def __init__(
        self,
        network: nn.Module,
        keys: KeysCollection = "image",
        grid: SliceGrid | None = None,
        merge: MergeSettings | None = None,
        batch_size: int = 2,
        window_hu: tuple[float, float] = DETECTION_WINDOW_HU,
        device: torch.device | str = "cpu",
    ) -> None:
        """Prepares the network.

        Args:
            network: (B, 1, size, size) in 0..1 to (B, 6, K) columns of x1, y1, x2, y2, score, label, such as
                `networks.faster_rcnn.KidneyFasterRCNN`.
            keys: Where the scan is.
            grid: How it is sampled; None for the grid the network was made for (its attribute `grid`).
            merge: When slice boxes make a kidney; None for the defaults.
            batch_size: Slices per pass.
            window_hu: HU range that becomes 0..1.
            device: Where the network runs.

        Raises:
            ValueError: If there is more than one key, `batch_size` is below 1, or neither `grid` nor the network says
                how to sample.
        """
        super().__init__(keys)
        if len(self.keys) != 1 or batch_size < 1:
            raise ValueError(f"LocalizeKidneysd needs one key and batch_size >= 1, got {self.keys} and {batch_size}.")
        own = grid if grid is not None else getattr(network, "grid", None)
        if not isinstance(own, SliceGrid):
            raise ValueError("The network does not say which slices it is made for; give `grid`, a SliceGrid.")
        self.grid = own
        self.merge = merge or MergeSettings()
        self.batch_size = batch_size
        self.window_hu = (float(window_hu[0]), float(window_hu[1]))
        self.device = torch.device(device)
        self.network = network.eval().to(self.device).to(memory_format=torch.channels_last)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns the case with `kidneys` and `localization`."""
        case = dict(data)
        image = case[self.keys[0]]
        spacing = spacing_mm(np.asarray(image.affine))
        planes, ranges = axial_planes(image.as_tensor()[0], spacing, self.grid)
        frame = body_frame(planes, ranges, image.shape[1:], self.grid.input_size)
        detections = self._detect(planes, frame)
        kidneys = merge_slice_boxes(detections, frame, spacing, self.merge)
        found = bool(kidneys)
        case["kidneys"] = kidneys if found else [_body_box(planes, frame, spacing)]
        case["localization"] = {
            "found": found,
            "fallback": not found,
            "note": _note(len(kidneys)),
            "detections": sum(int((d.scores >= self.merge.score_threshold).sum()) for d in detections),
        }
        if not found:
            case["warnings"] = (*case.get("warnings", ()), f"{_note(0)} What is outlined there is doubtful.")
        return case

    @torch.inference_mode()
    def _detect(self, planes: torch.Tensor, frame: AxialFrame) -> list[SliceDetections]:
        """Slice boxes of the whole scan, batch by batch."""
        found = []
        for start in range(0, len(planes), self.batch_size):
            hu = crop_to_frame(planes[start : start + self.batch_size], frame, fill=self.window_hu[0])
            batch = window_to_unit(hu, self.window_hu, 0.0, 1.0)[:, None].to(self.device)
            with autocast(self.device):
                columns = self.network(batch.contiguous(memory_format=torch.channels_last))
            for slice_columns in columns.float().cpu().numpy():
                valid = slice_columns[5] > 0
                found.append(SliceDetections(slice_columns[:4, valid].T, slice_columns[4, valid]))
        return found


def _body_box(planes: torch.Tensor, frame: AxialFrame, spacing: tuple[float, float, float]) -> Box:
    """The body without the table; the whole scan where nothing is dense enough."""
    pixel_mm = frame.volume_shape[0] * spacing[0] / frame.plane_shape[1]
    rounds = max(1, round(_TABLE_MM / pixel_mm / 2))
    # The table is a thin shell: opening in the plane removes it, or cuts it off the back.
    cross = ndimage.generate_binary_structure(2, 1)[None]
    opened = ndimage.binary_opening(planes.cpu().numpy() > _BODY_HU, structure=cross, iterations=rounds)
    body = find_components(opened)
    if body is None:
        return Box(0, 0, 0, *frame.volume_shape)
    largest = body.boxes[0]  # of an array of slices, rows and columns
    whole = replace(frame, top=0, left=0, size=max(frame.plane_shape))
    edges = whole.to_volume((largest.zmin, largest.ymin, largest.zmax, largest.ymax), (largest.xmin, largest.xmax))
    return edges_to_box(edges, frame.volume_shape, spacing, 0.0)


def _note(kidneys: int) -> str:
    """What was found, in a sentence."""
    if kidneys == 0:
        return "No kidney was found; the whole body is searched instead."
    return "Two kidneys were found." if kidneys == 2 else "One kidney was found."
