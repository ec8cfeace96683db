"""A small data folder in KiTS19's layout and predictions for it, with overlaps that are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

SHAPE = (20, 40, 60)
AFFINE = np.array([[0, 0, -2.0, 0], [0, -2.0, 0, 0], [-5.0, 0, 0, 0], [0, 0, 0, 1]])
VOXEL_ML = 0.02


def label_map(tumor: bool = True, shift: int = 0) -> np.ndarray:
    """Two kidneys of 10 x 12 x 10 voxels and a tumor of 4 x 4 x 4 in the second, moved along the last axis."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:15, 14:26, 8 + shift : 18 + shift] = 1
    labels[5:15, 14:26, 40 + shift : 50 + shift] = 1
    if tumor:
        labels[8:12, 18:22, 42 + shift : 46 + shift] = 2
    return labels


def save(path: Path, labels: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    """Writes a label map."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(labels, affine), path)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """case_00000 malignant, case_00001 benign, case_00002 without a tumor, case_00003 malignant."""
    folder = tmp_path / "data"
    records = []
    for i, malignant in enumerate((True, False, None, True)):
        name = f"case_{i:05d}"
        save(folder / name / "segmentation.nii.gz", label_map(tumor=malignant is not None))
        phantom = {"source_label_case": "case_00120" if i < 2 else None}
        size = None if malignant is None else 1.5 + 3 * i
        record = {"case_id": name, "malignant": malignant, "radiographic_size": size}
        records.append({**record, "synthetic": True, "phantom": phantom})
    (folder / "kits.json").write_text(json.dumps(records))
    return folder


@pytest.fixture
def predict(tmp_path: Path) -> Callable[..., Path]:
    """Writes the prediction of a case as `nephro predict` does; returns the run's folder."""

    def write(case: str, labels: np.ndarray, verdict: str | None = None, probability: float | None = None) -> Path:
        folder = tmp_path / "predictions"
        save(folder / case / "segmentation.nii.gz", labels)
        if verdict is not None:
            diagnosis = {"verdict": verdict, "mean_probability_malignant": probability}
            (folder / case / "diagnosis.json").write_text(json.dumps(diagnosis))
        return folder

    return write


@pytest.fixture
def predictions(predict: Callable[..., Path]) -> Path:
    """case_00000 perfect, case_00001 undetermined, case_00002 with a false tumor, case_00003 with its tumor missed."""
    predict("case_00000", label_map(), "malignant", 0.9)
    predict("case_00001", label_map(shift=1), "undetermined", 0.5)
    predict("case_00002", label_map(tumor=True), "benign", 0.2)
    folder = predict("case_00003", label_map(tumor=False), "undetermined")
    rows = ["case,status,verdict,reason,seconds", "case_00000,done,malignant,,12.5", "case_00001,skipped,,,"]
    (folder / "summary.csv").write_text("\n".join(rows) + "\n")
    return folder
