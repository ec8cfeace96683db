"""How long an evaluation takes and how much memory it needs, on label maps made for it."""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from nephro_monai.constants import KIDNEY, TUMOR
from nephro_monai.evaluation.evaluate import evaluate_cohort
from nephro_monai.evaluation.figures import write_figures
from nephro_monai.evaluation.tables import write_tables
from nephro_monai.io.atomic import atomic_path

__all__ = ["LIMIT_GIB", "LIMIT_SECONDS", "EvaluationCost", "benchmark_evaluation"]

LIMIT_SECONDS = 300.0
"""For 90 cases of 100 x 512 x 512 voxels on two cores."""

LIMIT_GIB = 2.0

_DISTINCT = 6
_FIELD_MM = (400.0, 400.0, 400.0)


@dataclass(frozen=True)
class EvaluationCost:
    """What an evaluation cost.

    Attributes:
        cases: How many label maps were compared.
        seconds: Wall-clock time, tables and figures included.
        cpu_seconds: Of all threads.
        peak_gib: Largest resident memory of the process, everything it imports included.
    """

    cases: int
    seconds: float
    cpu_seconds: float
    peak_gib: float


def benchmark_evaluation(
    cases: int = 90,
    shape: Sequence[int] = (100, 512, 512),
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> EvaluationCost:
    """Makes pairs of label maps in a temporary folder, compares them and says what that cost.

    Six pairs differ; the others are links to them, so that making them takes seconds, while each is read and compared
    like any other. A pair shows two kidneys of usual size, one with a tumor, and a prediction that is a little off,
    has a rough surface and a false tumor.

    Args:
        cases: How many.
        shape: Voxels (slices, rows, columns).
        workers: Cases compared at once.
        progress: As for `evaluate_cohort`.

    Raises:
        ValueError: If there is no case or the shape has not three axes of at least 16 voxels.
    """
    if cases < 1 or len(shape) != 3 or min(shape) < 16:
        raise ValueError(f"Give at least one case and three axes of at least 16 voxels, got {cases} and {shape}.")
    with tempfile.TemporaryDirectory(prefix="nephro-benchmark-") as folder:
        data, predictions = Path(folder, "data"), Path(folder, "predictions")
        _write(data, predictions, cases, (shape[0], shape[1], shape[2]))
        wall, cpu = time.perf_counter(), time.process_time()
        rows, summary = evaluate_cohort(predictions, data, progress=progress, workers=workers)
        write_tables(rows, summary, Path(folder, "out"), write_figures(rows, summary, Path(folder, "out")))
        spent = time.perf_counter() - wall, time.process_time() - cpu
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
    return EvaluationCost(len(rows), spent[0], spent[1], peak)


def _write(data: Path, predictions: Path, cases: int, shape: tuple[int, int, int]) -> None:
    affine = np.zeros((4, 4))
    spacing = [field / n for field, n in zip(_FIELD_MM, shape, strict=True)]
    affine[[2, 1, 0, 3], [0, 1, 2, 3]] = [-spacing[0], -spacing[1], -spacing[2], 1]
    records = []
    for i in range(cases):
        name = f"case_{i:05d}"
        truth, found = (folder / name / "segmentation.nii.gz" for folder in (data, predictions))
        if i < _DISTINCT:
            for path, labels in zip((truth, found), _pair(i, shape), strict=True):
                with atomic_path(path) as temporary:
                    nib.save(nib.Nifti1Image(labels, affine), temporary)
        else:
            for path in (truth, found):
                path.parent.mkdir(parents=True)
                os.link(path.parent.parent / f"case_{i % _DISTINCT:05d}" / path.name, path)
        records.append({"case_id": name, "malignant": i % 10 > 0, "radiographic_size": 3.0 + i % 5})
        diagnosis = {"verdict": "malignant", "mean_probability_malignant": 0.5 + (i % 7) / 20}
        with atomic_path(found.with_name("diagnosis.json")) as temporary:
            temporary.write_text(json.dumps(diagnosis))
    with atomic_path(data / "kits.json") as temporary:
        temporary.write_text(json.dumps(records))


def _pair(seed: int, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction, uint8 (slices, rows, columns)."""
    generator = np.random.default_rng(seed)
    offset = generator.uniform(-20, 20, 3)
    bodies = [
        ((0, 20, -80), (55, 27, 30), KIDNEY),
        ((0, 20, 80), (55, 27, 30), KIDNEY),
        ((15, 0, 85), (22,) * 3, TUMOR),
    ]
    false = ((-25, 5, -85), (8, 8, 8), TUMOR)
    truth = _bodies(bodies, offset, shape, 0.0, generator)
    return truth, _bodies([*bodies, false], offset + generator.uniform(-2, 2, 3), shape, 0.06, generator)


def _bodies(
    bodies: Sequence[tuple[Sequence[float], Sequence[float], int]], offset: np.ndarray, shape: tuple[int, int, int],
    roughness: float, generator: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Ellipsoids (center and radii in mm from the middle, label), the last on top."""
    labels = np.zeros(shape, np.uint8)
    spacing = np.array(_FIELD_MM) / shape
    for center, radii, label in bodies:
        middle = (np.array(_FIELD_MM) / 2 + center + offset) / spacing
        half = np.array(radii) * 1.3 / spacing
        low, high = np.maximum(0, np.floor(middle - half)).astype(int), np.ceil(middle + half).astype(int)
        inside = tuple(slice(a, b) for a, b in zip(low, np.minimum(high, shape), strict=True))
        axes = np.ogrid[inside]
        square = sum(((a - m) * s / r) ** 2 for a, m, s, r in zip(axes, middle, spacing, radii, strict=True))
        square = square + roughness * generator.standard_normal(np.shape(square))
        labels[inside][square < 1] = label
    return labels
