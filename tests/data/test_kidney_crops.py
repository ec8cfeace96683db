from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from nephro_monai.data import CropSettings, cut_kidney_crops, list_training_cases
from nephro_monai.errors import TrainingDataError

SPACING = (1.2, 1.2, 4.0)
SHAPE = (200, 130, 50)
WORKING = (1.5, 1.5, 3.0)


def write_case(folder: Path, tumor_radius_mm: float = 15.0, kidneys: bool = True) -> Path:
    """Two spherical kidneys of 30 mm radius in an elliptic body, one with a tumor, stored as in KiTS19 (I-P-L)."""
    axes = [(np.arange(n) + 0.5) * s for n, s in zip(SHAPE, SPACING, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    hu = np.where(((x - 120) / 110) ** 2 + ((y - 78) / 70) ** 2 < 1, 40, -1000).astype(np.int16)
    label = np.zeros(SHAPE, np.uint8)
    for center in (60, 180) if kidneys else ():
        label[(x - center) ** 2 + (y - 60) ** 2 + (z - 100) ** 2 < 30**2] = 1
    label[(label > 0) & ((x - 190) ** 2 + (y - 60) ** 2 + (z - 85) ** 2 < tumor_radius_mm**2)] = 2
    hu[label == 1], hu[label == 2] = 150, 90
    affine = np.array([[0, 0, -SPACING[0], 0], [0, -SPACING[1], 0, 0], [-SPACING[2], 0, 0, 0], [0, 0, 0, 1.0]])
    case = folder / "case_00000"
    case.mkdir(parents=True)
    for name, volume in (("imaging", hu), ("segmentation", label)):
        stored = np.ascontiguousarray(volume[::-1, ::-1, ::-1].transpose(2, 1, 0))
        nib.save(nib.Nifti1Image(stored, affine), case / f"{name}.nii.gz")
    return folder


def volume_ml(mask: torch.Tensor) -> float:
    return float(mask.sum()) * float(np.prod(WORKING)) / 1000


def test_kidneys_keep_their_volume_and_context(tmp_path):
    cases = list_training_cases(write_case(tmp_path))
    crops = cut_kidney_crops(cases, CropSettings(WORKING, negative_share=0.0), progress=False)
    assert len(crops) == 2
    sphere = 4 / 3 * np.pi * 30**3 / 1000
    for crop in crops:
        assert crop["image"].dtype == torch.int16 and crop["label"].dtype == torch.uint8
        assert crop["image"].shape == crop["label"].shape
        assert volume_ml(crop["label"] > 0) == pytest.approx(sphere, rel=0.05)
        hu = crop["image"][crop["label"] == 1].float()
        assert 140 < hu.median() <= 150
        for value, indices in enumerate(crop["label_cls_indices"]):
            assert (crop["label"].flatten()[torch.from_numpy(indices).long()] == value).all()
            assert len(indices) < 8000
    assert sum(int((crop["label"] == 2).any()) for crop in crops) >= 1


def test_small_tumors_survive_resampling(tmp_path):
    cases = list_training_cases(write_case(tmp_path, tumor_radius_mm=6.0))
    crops = cut_kidney_crops(cases, CropSettings(WORKING, margin_mm=15.0, negative_share=0.0), progress=False)
    tumor = max(volume_ml(crop["label"] == 2) for crop in crops)
    assert tumor == pytest.approx(4 / 3 * np.pi * 6**3 / 1000, rel=0.25)


def test_crops_keep_the_orientation(tmp_path):
    cases = list_training_cases(write_case(tmp_path))
    crops = cut_kidney_crops(cases, CropSettings(WORKING, negative_share=0.0), progress=False)
    label = next(crop["label"][0].numpy() for crop in crops if (crop["label"] == 2).any())
    shift_mm = (np.argwhere(label == 2).mean(0) - np.argwhere(label == 1).mean(0)) * WORKING
    assert shift_mm[0] > 5 and abs(shift_mm[1]) < 2 and shift_mm[2] < -5


def test_boxes_without_kidney_are_empty_and_repeatable(tmp_path):
    cases = list_training_cases(write_case(tmp_path))
    settings = CropSettings(WORKING, margin_mm=10.0, minimum_shape=(16, 16, 16), negative_share=1.0, seed=3)
    crops = cut_kidney_crops(cases, settings, progress=False)
    negatives = [crop for crop in crops if not crop["label"].any()]
    assert len(crops) > 2 and len(negatives) == len(crops) - 2
    assert all((crop["image"] > -200).float().mean() > 0.5 for crop in negatives)
    for first, second in zip(crops, cut_kidney_crops(cases, settings, progress=False), strict=True):
        assert torch.equal(first["image"], second["image"])


def test_small_crops_show_what_lies_around_and_repeat_where_the_scan_ends(tmp_path):
    cases = list_training_cases(write_case(tmp_path))
    settings = CropSettings(WORKING, margin_mm=0.0, minimum_shape=(88, 88, 80), negative_share=0.0)  # of 67
    for crop in cut_kidney_crops(cases, settings, progress=False):
        image, label = crop["image"][0], crop["label"][0]
        assert image.shape == (88, 88, 80)
        assert volume_ml(label > 0) == pytest.approx(4 / 3 * np.pi * 30**3 / 1000, rel=0.05)
        assert (image == 40).float().mean() > 0.6, "the body around the kidney"
        assert torch.equal(image[..., :5], image[..., 6:7].expand(-1, -1, 5)) and (image[..., 0] == 40).any()
        assert torch.equal(image[..., -5:], image[..., -7:-6].expand(-1, -1, 5))


def test_cases_without_kidneys_are_an_error(tmp_path):
    cases = list_training_cases(write_case(tmp_path, kidneys=False))
    with pytest.raises(TrainingDataError, match="label maps"):
        cut_kidney_crops(cases, progress=False)
    assert cut_kidney_crops([], progress=False) == []
