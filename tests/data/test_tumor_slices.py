"""Slices through tumors with the patient's malignancy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from nephro_monai.data.tumor_slices import TRAINING_CROPS, balanced_class_weights, cut_tumor_slices
from nephro_monai.errors import TrainingDataError
from nephro_monai.geometry.tumor_slices import TumorCropSettings, tumor_slice_crops

SMALL = TumorCropSettings(size=40, max_slices_per_tumor=3, min_area_mm2=4.0)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """A malignant, a benign and a tumor-free case."""
    root = tmp_path_factory.mktemp("tumors")
    made = []
    for number, malignant in enumerate((True, False, None)):
        label = np.zeros((48, 48, 10), np.uint8)
        label[8:20, 8:20, 2:8] = 1
        if malignant is not None:
            label[30:38, 30:38, 3:8] = 2
        paths = {"image": root / f"{number}_image.nii.gz", "label": root / f"{number}_label.nii.gz"}
        affine = np.diag([-0.8, -0.8, 3.0, 1.0])
        nib.save(nib.Nifti1Image((label * 60).astype(np.int16), affine), paths["image"])
        nib.save(nib.Nifti1Image(label, affine), paths["label"])
        name = {"case": f"case_{number:05d}", "malignant": malignant}
        made.append({**{key: str(path) for key, path in paths.items()}, **name})
    return made


def test_slices_of_each_tumor(cases: list[dict]) -> None:
    slices = cut_tumor_slices(cases, SMALL, progress=False)
    assert [(item["case"], item["label"]) for item in slices] == [("case_00000", 1)] * 3 + [("case_00001", 0)] * 3
    assert all(item["image"].dtype == torch.int16 and item["image"].shape == (1, 40, 40) for item in slices)
    assert all((item["image"][0, 17:23, 17:23] == 120).all() for item in slices)  # the tumor is in the middle
    assert slices[0]["area_mm2"] == pytest.approx(64 * 0.64, rel=1e-3)
    assert slices[0]["meta"]["filename_or_obj"].startswith("case_00000_tumor1_z")


def test_they_are_cut_as_the_cascade_cuts_them(cases: list[dict]) -> None:
    image, label = nib.load(cases[0]["image"]), nib.load(cases[0]["label"])
    volumes = [np.ascontiguousarray(np.flip(v.get_fdata(), (0, 1)))[None] for v in (image, label)]
    expected, _ = tumor_slice_crops(
        torch.from_numpy(volumes[0]),
        torch.from_numpy(volumes[1].astype(np.uint8)),
        np.diag([0.8, 0.8, 3.0, 1.0]),
        SMALL,
    )
    found = torch.stack([item["image"] for item in cut_tumor_slices(cases[:1], SMALL, progress=False)])
    torch.testing.assert_close(found.float(), expected.round(), atol=1, rtol=0)


@pytest.fixture
def cone(tmp_path: Path) -> list[dict]:
    """One case whose tumor is largest in the slice before the last."""
    label = np.zeros((64, 64, 12), np.uint8)
    for z, half in enumerate((2, 3, 4, 5, 6, 7, 8, 9, 10, 4), start=1):
        label[32 - half : 32 + half, 32 - half : 32 + half, z] = 2
    affine = np.diag([-0.8, -0.8, 3.0, 1.0])
    nib.save(nib.Nifti1Image((label * 50).astype(np.int16), affine), tmp_path / "image.nii.gz")
    nib.save(nib.Nifti1Image(label, affine), tmp_path / "label.nii.gz")
    paths = {"image": str(tmp_path / "image.nii.gz"), "label": str(tmp_path / "label.nii.gz")}
    return [{**paths, "case": "case_00000", "malignant": True}]


def test_the_largest_slice_is_cut_whatever_is_thinned_out(cone: list[dict]) -> None:
    thinned = replace(SMALL, max_slices_per_tumor=2, min_area_share=0.0)
    every = cut_tumor_slices(cone, thinned, progress=False)
    assert [item["meta"]["filename_or_obj"][-4:] for item in every] == ["z003", "z008", "z009"]
    (named,) = [item for item in every if item["largest"]]
    assert named["area_mm2"] == pytest.approx(20 * 20 * 0.64, rel=1e-3) == max(item["area_mm2"] for item in every)


def test_a_single_slice_per_case(cone: list[dict], cases: list[dict]) -> None:
    (single,) = cut_tumor_slices(cone, SMALL, progress=False, choice="largest")
    assert single["largest"] and single["meta"]["filename_or_obj"].endswith("_z009")
    assert [item["case"] for item in cut_tumor_slices(cases, SMALL, progress=False, choice="largest")] == [
        "case_00000",
        "case_00001",
    ]
    with pytest.raises(ValueError, match="one of all, largest, got 'best'"):
        cut_tumor_slices(cases, SMALL, progress=False, choice="best")


def test_training_crops_leave_room_for_shifts() -> None:
    inference = TumorCropSettings()
    assert TRAINING_CROPS.spacing_mm == inference.spacing_mm
    assert TRAINING_CROPS.size >= inference.size + 2 * 20


def test_a_tumor_of_unknown_malignancy_is_refused(cases: list[dict]) -> None:
    unknown = [{**cases[0], "malignant": None}]
    with pytest.raises(TrainingDataError, match="case_00000 has a tumor"):
        cut_tumor_slices(unknown, SMALL, progress=False)
    slices = cut_tumor_slices(unknown, SMALL, progress=False, need_malignancy=False)
    assert {item["label"] for item in slices} == {-1}


def test_no_tumor_at_all_is_an_error(cases: list[dict]) -> None:
    with pytest.raises(TrainingDataError, match="None of the 1 cases gave tumor slices"):
        cut_tumor_slices(cases[2:], SMALL, progress=False)
    assert cut_tumor_slices([], SMALL, progress=False) == []


def test_class_weights_balance() -> None:
    slices = [{"label": 1}] * 6 + [{"label": 0}] * 2
    assert balanced_class_weights(slices) == pytest.approx([2.0, 2 / 3])
    with pytest.raises(TrainingDataError, match="got 0 and 6"):
        balanced_class_weights(slices[:6])
