from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from nephro_monai.data import SliceCutSettings, cut_segmentation_slices, list_training_cases
from nephro_monai.errors import TrainingDataError
from nephro_monai.structures import SliceGrid

SPACING = (2.0, 2.0, 4.0)
SHAPE = (150, 110, 30)
GRID = SliceGrid(4.0, 3.0, 112, 4.0)


def write_case(folder: Path, number: int = 0, kidneys: bool = True) -> Path:
    """Two spherical kidneys of 30 mm radius in an elliptic body, the left one with a tumor, stored as in KiTS19."""
    axes = [(np.arange(n) + 0.5) * s for n, s in zip(SHAPE, SPACING, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    hu = np.where(((x - 150) / 135) ** 2 + ((y - 110) / 95) ** 2 < 1, 40, -1000).astype(np.int16)
    label = np.zeros(SHAPE, np.uint8)
    for center in (80, 220) if kidneys else ():
        label[(x - center) ** 2 + (y - 90) ** 2 + (z - 60) ** 2 < 30**2] = 1
    label[(label > 0) & ((x - 70) ** 2 + (y - 90) ** 2 + (z - 50) ** 2 < 15**2)] = 2
    hu[label == 1], hu[label == 2] = 150, 90
    hu[75, 55, 15] = 18326
    affine = np.array([[0, 0, -SPACING[0], 0], [0, -SPACING[1], 0, 0], [-SPACING[2], 0, 0, 0], [0, 0, 0, 1.0]])
    case = folder / f"case_{number:05d}"
    case.mkdir(parents=True)
    for name, volume in (("imaging", hu), ("segmentation", label)):
        stored = np.ascontiguousarray(volume[::-1, ::-1, ::-1].transpose(2, 1, 0))
        nib.save(nib.Nifti1Image(stored, affine), case / f"{name}.nii.gz")
    return folder


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    folder = tmp_path_factory.mktemp("slices")
    write_case(folder, 0)
    return list_training_cases(write_case(folder, 1, kidneys=False))


def test_whole_slices(cases):
    slices = cut_segmentation_slices(cases, SliceCutSettings(GRID, slices_per_case=None, negative_share=0.0), 1, False)
    assert {one["case"] for one in slices} == {"case_00000"}, "a case without kidneys gives none"
    assert len(slices) == 14, "all slices with a kidney: their middles are at 34, 38 ... 86 mm"
    for one in slices:
        assert one["image"].shape == one["label"].shape == (1, 112, 112)
        assert one["image"].dtype == torch.int16 and one["label"].dtype == torch.uint8
        assert (one["image"].abs() <= 3071).all()
    volume = sum(float((one["label"] > 0).sum()) for one in slices) * 9.0 * 4.0
    assert volume == pytest.approx(2 * 4 / 3 * np.pi * 30**3, rel=0.05)
    tumor = torch.stack([one["label"][0] == 2 for one in slices])
    assert tumor.any() and tumor.nonzero()[:, 2].float().mean() > 56, "the patient's left is at higher columns"
    hu = torch.cat([one["image"][one["label"] == 1].float() for one in slices])
    assert hu.median() == 150


def test_stage_1_merges_the_classes(cases):
    settings = SliceCutSettings(GRID, merge_classes=True, slices_per_case=None)
    slices = cut_segmentation_slices(cases, settings, progress=False)
    assert {int(v) for one in slices for v in one["label"].unique()} == {0, 1}


def test_shares(cases):
    settings = SliceCutSettings(GRID, slices_per_case=8, tumor_share=0.5, negative_share=0.2)
    slices = cut_segmentation_slices(cases, settings, progress=False)
    kidney = [one for one in slices if one["label"].any()]
    assert len(kidney) == 8 and len(slices) == 10
    assert sum(int((one["label"] == 2).any()) for one in kidney) >= 4
    settings = SliceCutSettings(GRID, slices_per_case=8, tumor_share=1.0, negative_share=0.0)
    slices = cut_segmentation_slices(cases, settings, progress=False)
    assert len(slices) == 8, "other slices fill up where there are fewer with tumor"


def test_crops_around_the_kidneys(cases):
    settings = SliceCutSettings(GRID, crop_size=32, context=4, slices_per_case=5, negative_share=0.5)
    crops = cut_segmentation_slices(cases, settings, progress=False)
    assert len(crops) == 2 * 5 + 5, "the kidneys are 140 mm apart, a crop has 96 mm"
    middle = slice(4, -4)
    for crop in crops[:10]:
        assert crop["image"].shape == crop["label"].shape == (1, 40, 40)
        rows, columns = crop["label"][0, middle, middle].nonzero(as_tuple=True)
        assert abs(float(rows.float().mean()) - 15.5) < 1 and abs(float(columns.float().mean()) - 15.5) < 1
    for crop in crops[10:]:
        assert not crop["label"].any()
        assert (crop["image"] > -200).float().mean() > 0.9, "cut inside the body"


def test_context_beyond_the_slice_is_air(cases):
    settings = SliceCutSettings(GRID, crop_size=112, context=3, slices_per_case=1, negative_share=0.0)
    (crop,) = cut_segmentation_slices(cases, settings, progress=False)
    assert crop["image"].shape == (1, 118, 118) and (crop["image"][0, :3] == -1024).all()
    plain = SliceCutSettings(GRID, slices_per_case=1, negative_share=0.0)
    (whole,) = cut_segmentation_slices(cases, plain, progress=False)
    assert torch.equal(crop["image"][:, 3:-3, 3:-3], whole["image"])


def test_cases_without_kidneys_are_an_error(cases):
    with pytest.raises(TrainingDataError, match="label maps"):
        cut_segmentation_slices(cases[1:], progress=False)
    assert cut_segmentation_slices([], progress=False) == []


@pytest.mark.parametrize(
    "settings",
    [{"tumor_share": 1.5}, {"negative_share": 1.0}, {"slices_per_case": 0}, {"crop_size": 300}, {"context": -1}],
)
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ValueError, match="got"):
        SliceCutSettings(**settings)
