"""Measures the `training_range` of `nephro_cascade` on a folder of training scans.

python scripts/measure_training_range.py DIR...

DIR is in KiTS19's layout (DIR/case_00000/imaging.nii.gz). Prints the JSON block for `configs/inference.json`: for each
statistic of `CheckTrainingRanged` the range that holds the scans without the outermost 1 % at either end (all of them
where there are fewer than 100), rounded outward.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.progress import track

from nephro_monai.geometry.scan_statistics import ScanStatistics, measure_scan
from nephro_monai.io import LoadScand

_OUTERMOST = 1.0
_STEPS = {
    "slice_thickness_mm": 0.1, "pixel_mm": 0.05, "field_of_view_mm": 5.0, "length_mm": 10.0, "darkest_hu": 10.0,
    "soft_tissue_hu": 10.0, "gas_share": 0.01, "bone_share": 0.01, "cut_off_share": 0.01, "parts_share": 0.01,
    "metal_ml": 0.1,
}  # fmt: skip


def find_scans(folders: Sequence[Path]) -> list[Path]:
    """Scans of data folders in KiTS19's layout.

    Raises:
        ValueError: If a folder holds none.
    """
    scans = []
    for folder in folders:
        if not (found := sorted(folder.glob("case_*/imaging.nii.gz"))):
            raise ValueError(f"{folder} holds no case_*/imaging.nii.gz; give a folder in KiTS19's layout.")
        scans += found
    return scans


def bounds_of(found: Sequence[ScanStatistics]) -> dict[str, list[float]]:
    """Bounds by statistic, rounded outward to steps that people would choose; scans without a value do not count.

    Args:
        found: At least one scan's statistics.
    """
    bounds = {}
    for name, step in _STEPS.items():
        values = np.array([getattr(scan, name) for scan in found])
        values = values[np.isfinite(values)]
        low = np.percentile(values, _OUTERMOST, method="lower")
        high = np.percentile(values, 100 - _OUTERMOST, method="higher")
        # Spacings such as 0.1 + 0.2 must not end a step too far out.
        lowest, highest = math.floor(low / step + 1e-6) * step, math.ceil(high / step - 1e-6) * step
        bounds[name] = [round(lowest, 2), round(highest, 2)]
    return bounds


def main(arguments: Sequence[str]) -> int:
    """Measures and prints; 2 for wrong use."""
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        scans = find_scans([Path(argument) for argument in arguments])
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    load = LoadScand(keys="image")
    found = []
    for path in track(scans, description="scans"):
        image = load({"image": path})["image"]
        found.append(measure_scan(image, np.asarray(image.affine)))
    lines = [f'    "{name}": {json.dumps(limits)}' for name, limits in bounds_of(found).items()]
    print(f"{len(found)} scans:", file=sys.stderr)
    print('"training_range": {\n' + ",\n".join(lines) + "\n}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
