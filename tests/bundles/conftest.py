"""A handful of small cases with tumors and tissue ids."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest


@pytest.fixture(scope="session")
def tumor_cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six cases in KiTS19 layout (axes I-P-L) with `tissues.nii.gz`; odd ones are malignant and brighter."""
    folder = tmp_path_factory.mktemp("kits_tissues") / "data"
    affine = np.array([[0, 0, -1.6, 0], [0, -1.6, 0, 0], [-5.0, 0, 0, 0], [0, 0, 0, 1]])
    rng = np.random.default_rng(0)
    records = []
    for number in range(6):
        malignant = number % 2 == 1
        tissues = np.zeros((8, 80, 80), np.uint8)
        tissues[:, 10:70, 10:70] = 2
        tissues[1:7, 20:40, 20:40] = 9
        tissues[2:6, 38:52, 24:38] = 14
        label = np.where(tissues == 9, 1, np.where(tissues == 14, 2, 0)).astype(np.uint8)
        hu = np.choose(label, [np.where(tissues == 0, -1000, -100), 150, 120 if malignant else 40])
        image = (hu + rng.normal(0, 8, hu.shape)).astype(np.int16)
        case = folder / f"case_{number:05d}"
        case.mkdir(parents=True)
        for name, array in (("imaging", image), ("segmentation", label), ("tissues", tissues)):
            nib.save(nib.Nifti1Image(array, affine), case / f"{name}.nii.gz")
        subtype = "clear_cell_rcc" if malignant else "oncocytoma"
        records.append({"case_id": case.name, "malignant": malignant, "tumor_histologic_subtype": subtype})
    (folder / "kits.json").write_text(json.dumps(records), encoding="utf-8")
    return folder
