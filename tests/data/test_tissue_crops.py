from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from nephro_monai.data import (
    CropSettings,
    cut_tissue_crops,
    list_training_cases,
    load_tissue_crops,
    save_tissue_crops,
    split_cases,
    tissue_crops_of_folder,
)
from nephro_monai.data.tissue_crops import _most_common
from nephro_monai.errors import TrainingDataError

SETTINGS = CropSettings((2.0, 2.0, 3.0), margin_mm=12.0, minimum_shape=(16, 16, 16), negative_share=0.0)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two cases with two kidneys each (9), one with a tumor (14), in fat (2); no scans."""
    affine = np.array([[0, 0, -1.0, 0], [0, -1.0, 0, 0], [-3.0, 0, 0, 0], [0, 0, 0, 1]])
    for number in range(2):
        tissues = np.full((30, 80, 120), 2, np.uint8)
        tissues[8:22, 25:50, 15:40] = 9
        tissues[8:22, 25:50, 80:105] = 9
        tissues[10:14, 45:55, 100:110] = 14
        label = np.choose((tissues == 9) + 2 * (tissues == 14), [0, 1, 2]).astype(np.uint8)
        case = tmp_path / f"case_{number:05d}"
        case.mkdir()
        for name, volume in (("segmentation", label), ("tissues", tissues)):
            nib.save(nib.Nifti1Image(volume, affine), case / f"{name}.nii.gz")
    return tmp_path


def cases_of(folder: Path) -> list[dict]:
    return list_training_cases(folder, require=("segmentation", "tissues"))


def test_kidneys_keep_their_volume_tissues_and_labels(dataset: Path) -> None:
    crops = cut_tissue_crops(cases_of(dataset), SETTINGS, progress=False)
    assert len(crops) == 4 and [crop["case"] for crop in crops] == ["case_00000"] * 2 + ["case_00001"] * 2
    for crop in crops:
        tissues = crop["tissues"]
        assert tissues.dtype == torch.uint8 and set(tissues.unique().tolist()) <= {0, 2, 9, 14}
        labels = torch.from_numpy(crop["label_of_tissue"])[tissues.long()]
        assert torch.equal(labels == 1, tissues == 9) and torch.equal(labels == 2, tissues == 14)
        assert float((labels > 0).sum()) * 12 == pytest.approx(14 * 25 * 25 * 3, rel=0.1)
        for value, indices in enumerate(crop["label_cls_indices"]):
            assert (labels.flatten()[torch.from_numpy(indices).long()] == value).all()
    tumors = sorted(float((crop["tissues"] == 14).sum()) * 12 for crop in crops[:2])
    assert tumors[0] == 0 and tumors[1] == pytest.approx(4 * 10 * 10 * 3, rel=0.3)


def test_a_file_gives_back_what_was_saved(dataset: Path, tmp_path: Path) -> None:
    crops = cut_tissue_crops(cases_of(dataset), SETTINGS, progress=False)
    folder = tmp_path / "cache"
    save_tissue_crops(folder / "tissue_crops.npz", crops, SETTINGS.spacing_mm)
    assert (folder / "tissue_crops.npz").stat().st_size < 20_000
    again = tissue_crops_of_folder(folder, SETTINGS)
    for one, other in zip(crops, again, strict=True):
        assert one.keys() == other.keys()
        assert torch.equal(one["tissues"], other["tissues"])
        np.testing.assert_array_equal(one["label_of_tissue"], other["label_of_tissue"])
        assert all(
            np.array_equal(a, b) for a, b in zip(one["label_cls_indices"], other["label_cls_indices"], strict=True)
        )
        assert (one["case"], one["patient"]) == (other["case"], other["patient"])
    split = split_cases(again, 0.5)
    assert len(split.training) == len(split.validation) == 2
    assert {c["case"] for c in split.training}.isdisjoint(c["case"] for c in split.validation)


def test_stored_crops_that_are_too_small_for_the_patches_say_so(dataset: Path, tmp_path: Path) -> None:
    crops = cut_tissue_crops(cases_of(dataset), SETTINGS, progress=False)
    save_tissue_crops(tmp_path / "tissue_crops.npz", crops, SETTINGS.spacing_mm)
    with pytest.raises(TrainingDataError, match=r"wanted are at least \(90, 90, 44\); cut them anew"):
        tissue_crops_of_folder(tmp_path, replace(SETTINGS, minimum_shape=(90, 90, 44)))


def test_a_folder_of_cases_is_cut(dataset: Path) -> None:
    crops = tissue_crops_of_folder(dataset, CropSettings((2.0, 2.0, 3.0), 5.0, (8, 8, 8), 5.0, 1.0), progress=False)
    empty = [crop for crop in crops if not (crop["tissues"] == 9).any()]
    assert len(crops) > 4 and len(empty) == len(crops) - 4


def test_the_most_common_id_fills_a_voxel() -> None:
    ids = torch.zeros(6, 6, 4, dtype=torch.uint8)
    ids[:3, :3], ids[3:, :2] = 7, 3
    assert _most_common(ids, (2, 2, 2)).tolist() == [[[7, 7], [0, 0]], [[3, 3], [0, 0]]]
    assert torch.equal(_most_common(ids, (6, 6, 4)), ids)
    assert _most_common(ids, (12, 6, 8)).shape == (12, 6, 8)


def test_wrong_files_are_an_error(dataset: Path, tmp_path: Path) -> None:
    crops = cut_tissue_crops(cases_of(dataset), SETTINGS, progress=False)
    save_tissue_crops(tmp_path / "a.npz", crops, (2.0, 2.0, 3.0))
    with pytest.raises(TrainingDataError, match="cut them anew"):
        load_tissue_crops(tmp_path / "a.npz", (1.5, 1.5, 1.5))
    (tmp_path / "b.npz").write_bytes(b"nothing")
    with pytest.raises(TrainingDataError, match="holds no tissue crops"):
        load_tissue_crops(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", other=np.zeros(3))
    with pytest.raises(TrainingDataError, match="holds no tissue crops"):
        load_tissue_crops(tmp_path / "c.npz")
    with pytest.raises(ValueError, match="no crops"):
        save_tissue_crops(tmp_path / "d.npz", [], (2.0, 2.0, 3.0))


def test_tissues_and_segmentation_must_agree(dataset: Path) -> None:
    path = dataset / "case_00000" / "segmentation.nii.gz"
    image = nib.load(path)
    changed = np.asarray(image.dataobj).copy()
    changed[0, 0, 0] = 1
    nib.save(nib.Nifti1Image(changed, image.affine), path)
    with pytest.raises(TrainingDataError, match="several labels"):
        cut_tissue_crops(cases_of(dataset), SETTINGS, progress=False)
