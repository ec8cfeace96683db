"""Crops with tissue ids."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from nephro_monai.data.kits19 import list_training_cases
from nephro_monai.data.tissue_slices import TissueSliceSettings, cut_tissue_slices, tissue_fractions
from nephro_monai.errors import TrainingDataError

SMALL = TissueSliceSettings(size=40, on_tumor=3, on_kidney=2, in_body=2, jitter_mm=4.0)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cases whose HU are ten times their tissue ids; the second has no tumor."""
    root = tmp_path_factory.mktemp("tissues")
    for number, tumor in enumerate((True, False)):
        tissues = np.full((48, 48, 8), 4, np.uint8)
        tissues[10:24, 10:24, 2:6] = 9
        if tumor:
            tissues[28:40, 28:40, 3:6] = 14
        label = np.zeros_like(tissues)
        label[tissues == 9], label[tissues == 14] = 1, 2
        folder = root / f"case_{number:05d}"
        folder.mkdir()
        affine = np.diag([0.8, 0.8, 3.0, 1.0])
        for name, array in (("imaging", tissues.astype(np.int16) * 10), ("segmentation", label), ("tissues", tissues)):
            nib.save(nib.Nifti1Image(array, affine), folder / f"{name}.nii.gz")
    (root / "kits.json").write_text(json.dumps([]))
    return root


def _cases(dataset: Path) -> list[dict]:
    return list_training_cases(dataset, require=("imaging", "segmentation", "tissues"))


def test_crops_with_matching_tissues(dataset: Path) -> None:
    slices = cut_tissue_slices(_cases(dataset), SMALL, progress=False)
    assert len(slices) == 2 * 7
    assert {item["case"] for item in slices} == {"case_00000", "case_00001"}
    for item in slices:
        assert item["image"].shape == item["tissues"].shape == (1, 40, 40)
        assert (item["image"].dtype, item["tissues"].dtype) == (torch.int16, torch.uint8)
        inside = item["tissues"] > 0
        same = (item["image"] - 10 * item["tissues"].short()).abs() <= 25  # half a voxel's blur at borders
        assert same[inside].float().mean() > 0.9


def test_the_first_crops_lie_on_the_tumor(dataset: Path) -> None:
    slices = cut_tissue_slices(_cases(dataset)[:1], SMALL, progress=False)
    assert all((item["tissues"][:, 12:28, 12:28] == 14).any() for item in slices[:3])


def test_without_a_tumor_they_lie_on_the_kidney(dataset: Path) -> None:
    slices = cut_tissue_slices(_cases(dataset)[1:], SMALL, progress=False)
    assert all((item["tissues"] == 9).any() for item in slices[:5])
    assert not any((item["tissues"] == 14).any() for item in slices)


def test_the_same_seed_cuts_the_same(dataset: Path) -> None:
    first, second = (cut_tissue_slices(_cases(dataset), SMALL, workers=n, progress=False) for n in (1, 2))
    assert all(torch.equal(a["image"], b["image"]) for a, b in zip(first, second, strict=True))


def test_fractions_sum_to_one(dataset: Path) -> None:
    fractions = tissue_fractions(cut_tissue_slices(_cases(dataset), SMALL, progress=False))
    assert len(fractions) == 256
    assert sum(fractions) == pytest.approx(1.0)
    assert fractions[9] > 0 and fractions[14] > 0 and fractions[30] == 0


def test_volumes_must_fit_together(dataset: Path, tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((48, 48, 7), np.uint8), np.eye(4)), tmp_path / "other.nii.gz")
    case = {**_cases(dataset)[0], "tissues": str(tmp_path / "other.nii.gz")}
    with pytest.raises(TrainingDataError, match="differ in shape"):
        cut_tissue_slices([case], SMALL, progress=False)
