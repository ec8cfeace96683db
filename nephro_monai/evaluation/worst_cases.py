"""The cases that went worst, as pictures: what was there, what was outlined."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from skimage.measure import label, regionprops

from nephro_monai.constants import TUMOR
from nephro_monai.errors import ScanError
from nephro_monai.evaluation.case_metrics import CaseMetrics
from nephro_monai.evaluation.cohort import find_predictions, read_cohort
from nephro_monai.evaluation.label_map import read_label_map
from nephro_monai.io.atomic import atomic_path
from nephro_monai.reporting.worst_cases import ErrorSlice, draw_error_slices

__all__ = ["WORST_CASES", "worst_tumors", "write_worst_cases"]

WORST_CASES = "worst_cases.png"
_SIDE_MM = 170.0


def write_worst_cases(
    rows: Sequence[CaseMetrics], predictions: Path, data: Path, folder: Path, footnote: str = "", most: int = 8
) -> list[str]:
    """Draws the worst outlined tumors, missed and false ones, each on the slice with most of its largest error.

    Cases whose scan does not lie beside its label map, or is on another grid, are left out.

    Args:
        rows: From `evaluate_cohort`.
        predictions: The folder that was evaluated.
        data: Data folder with the truth and `imaging.nii.gz`.
        folder: Where to.
        footnote: What the data are.
        most: Cases at most.

    Returns:
        `WORST_CASES`, or nothing where there is nothing to draw (an older picture then goes).

    Raises:
        OutputError: If the file cannot be written.
    """
    panels = []
    found, truths = find_predictions(predictions), {case.name: case for case in read_cohort(data).cases}
    for row in worst_tumors(rows):
        predicted = found[row.case].segmentation if row.case in found else None
        image = truths[row.case].segmentation.with_name("imaging.nii.gz")
        if predicted is None or not image.is_file():
            continue
        panel = _panel(row, truths[row.case].segmentation, predicted, image)
        panels += [panel] if panel is not None else []
        if len(panels) == most:
            break
    if not panels:
        (folder / WORST_CASES).unlink(missing_ok=True)
        return []
    with atomic_path(folder / WORST_CASES) as path:
        draw_error_slices(panels, path, footnote)
    return [WORST_CASES]


def worst_tumors(rows: Sequence[CaseMetrics]) -> list[CaseMetrics]:
    """Cases with an imperfect tumor outline, the lowest tumor Dice first; of equal ones that with more tumor."""
    wrong = [row for row in rows if row.status == "done" and row.tumor_dice is not None and row.tumor_dice < 1]
    return sorted(wrong, key=lambda row: (row.tumor_dice, -max(row.tumor_ml or 0.0, row.predicted_tumor_ml or 0.0)))


def _panel(row: CaseMetrics, truth: Path, predicted: Path, image: Path) -> ErrorSlice | None:
    """The largest piece of wrong tumor of a case, on the slice with most of it."""
    try:
        maps = [read_label_map(path) for path in (truth, predicted)]
        scan: Any = nib.load(image)
        hu = np.asanyarray(scan.dataobj)
    except (ScanError, OSError, EOFError, ValueError):
        return None
    if not maps[0].labels.shape == maps[1].labels.shape == hu.shape:
        return None
    orientation = nib.io_orientation(maps[0].affine)
    true, found, hu = (nib.apply_orientation(volume, orientation) for volume in (maps[0].labels, maps[1].labels, hu))
    x_mm, y_mm = np.array(maps[0].spacing_mm)[np.argsort(orientation[:, 0])][:2]
    wrong = (true == TUMOR) != (found == TUMOR)
    worst = max(regionprops(label(wrong)), key=lambda region: region.area)
    k = int(wrong[worst.slice].sum((0, 1)).argmax()) + worst.slice[2].start
    window = tuple(
        _around(round(center), round(_SIDE_MM / mm), size)
        for center, mm, size in zip(worst.centroid[:2], (x_mm, y_mm), true.shape[:2], strict=True)
    )
    # R-A-S to a picture: rows to posterior, columns to the patient's left.
    cut = [volume[(*window, k)][::-1, ::-1].T for volume in (hu, true, found)]
    dice = "no tumor" if not row.tumor_ml else f"{row.tumor_ml:.1f} ml, tumor Dice {row.tumor_dice:.2f}"
    return ErrorSlice(f"{row.case}: {dice}", cut[0].astype(np.float32), cut[1], cut[2], float(y_mm / x_mm))


def _around(center: int, extent: int, size: int) -> slice:
    start = min(max(0, center - extent // 2), max(0, size - extent))
    return slice(start, start + extent)
