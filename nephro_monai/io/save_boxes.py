"""Kidney boxes of a case as a file."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform

from nephro_monai.io.atomic import atomic_path
from nephro_monai.structures import Box

__all__ = ["SaveKidneyBoxesd", "box_corners_mm"]


class SaveKidneyBoxesd(MapTransform):
    """Writes `<output_dir>/<case>/kidneys.json`: boxes in voxels of the R-A-S scan and in mm, and how they were found.

    Reads the keys `kidneys`, `localization`, `image` (for its affine) and `case`; changes nothing.
    """

    def __init__(
        self, output_dir: str | Path, keys: KeysCollection = "kidneys", file_name: str = "kidneys.json"
    ) -> None:
        """Sets where to write.

        Args:
            output_dir: The run's folder; each case gets a folder in it.
            keys: Where the boxes are.
            file_name: Name of the file.

        Raises:
            ValueError: If more than one key is given.
        """
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"SaveKidneyBoxesd writes one list of boxes per case, got the keys {self.keys}.")
        self.output_dir = Path(output_dir)
        self.file_name = file_name

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Writes the file and returns the case as it came.

        Raises:
            OutputError: If the file cannot be written.
        """
        case = dict(data)
        affine = np.asarray(case["image"].affine, dtype=np.float64)
        for key in self.key_iterator(case):
            content = {
                "case": case["case"],
                "kidneys": [{"voxels": asdict(box), "mm": box_corners_mm(box, affine)} for box in case[key]],
                "localization": case["localization"],
            }
            with atomic_path(self.output_dir / case["case"] / self.file_name) as temporary:
                temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")
        return case


def box_corners_mm(box: Box, affine: np.ndarray) -> dict[str, list[float]]:
    """Lowest and highest world coordinates (RAS, mm) of a box's outer edges.

    Args:
        box: In voxels; voxel i covers i - 0.5 to i + 0.5.
        affine: (4, 4) voxel-to-mm matrix.
    """
    low = np.array([box.xmin, box.ymin, box.zmin]) - 0.5
    high = np.array([box.xmax, box.ymax, box.zmax]) - 0.5
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), axis=-1).reshape(-1, 3)
    world = corners @ affine[:3, :3].T + affine[:3, 3]
    return {"min": world.min(axis=0).round(2).tolist(), "max": world.max(axis=0).round(2).tolist()}
