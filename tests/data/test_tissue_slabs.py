from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from nephro_monai.data import SlabSettings, cut_tissue_slabs, list_training_cases
from nephro_monai.errors import TrainingDataError

FAT, CORTEX, TUMOR = 2, 9, 14
SETTINGS = SlabSettings((1.0, 1.0, 3.0), size=40, slices=3, slabs=4, negative_share=0.0, margin_mm=0.0)


@pytest.fixture
def cases(tmp_path: Path) -> list[dict]:
    """One case of 1 x 1 x 3 mm: two kidneys (x 15..39 and 80..104), the lower one with a tumor, in fat; I-P-L axes."""
    affine = np.array([[0, 0, -1.0, 0], [0, -1.0, 0, 0], [-3.0, 0, 0, 0], [0, 0, 0, 1]])
    tissues = np.full((30, 80, 120), FAT, np.uint8)
    tissues[8:22, 25:50, 15:40] = CORTEX
    tissues[8:22, 25:50, 80:105] = CORTEX
    tissues[10:14, 45:55, 100:110] = TUMOR
    label = np.choose((tissues == CORTEX) + 2 * (tissues == TUMOR), [0, 1, 2]).astype(np.uint8)
    folder = tmp_path / "case_00000"
    folder.mkdir()
    for name, volume in (("segmentation", label), ("tissues", tissues)):
        nib.save(nib.Nifti1Image(volume, affine), folder / f"{name}.nii.gz")
    return list_training_cases(tmp_path, require=("segmentation", "tissues"))


def cut(cases: list[dict], **changes: object) -> list[dict]:
    settings = {**vars(SETTINGS), **changes}
    return cut_tissue_slabs(cases, SlabSettings(**settings), progress=False)


def test_slabs_lie_around_the_middle_of_each_kidney(cases: list[dict]) -> None:
    slabs = cut(cases)
    assert len(slabs) == 8 and len({slab["case"] for slab in slabs}) == 8
    assert {slab["patient"] for slab in slabs} == {"case_00000"}
    plain = [slab["tissues"] for slab in slabs if "_x092_y042_" in slab["case"]]
    assert len(plain) == 4
    for tissues in plain:
        assert tissues.shape == (1, 40, 40, 3) and tissues.dtype == torch.uint8
        inside = tissues[0, :, :, 1] == CORTEX
        rows = inside.any(dim=1).nonzero()[:, 0]
        assert inside.sum() == 25 * 25, "voxels are neither doubled nor left out"
        assert int(rows[0] + rows[-1]) in (38, 39, 40), "in the middle of the slab"


def test_axes_and_slices_are_those_of_the_volume(cases: list[dict]) -> None:
    """The tumor lies posterior and to the patient's left of its kidney, in native slices 10..13 from the top."""
    slabs = cut(cases, slabs=99, size=60)
    with_tumor = [s for s in slabs if (s["tissues"][..., 1] == TUMOR).any()]
    assert len(with_tumor) == 4
    assert sorted(int(s["case"][-3:]) for s in with_tumor) == [16, 17, 18, 19]
    for slab in with_tumor:
        tumor, kidney = ((slab["tissues"][0, :, :, 1] == i).nonzero().double().mean(0) for i in (TUMOR, CORTEX))
        assert (tumor < kidney).all()


def test_whole_slices_and_windows_show_the_same_places(cases: list[dict]) -> None:
    whole = cut(cases, center="body", size=130, slabs=5)
    assert len(whole) == 5
    assert all((slab["tissues"][..., 1] == CORTEX).sum() == 2 * 625 for slab in whole if slab["case"][-3:] < "016")
    both = cut(cases, center="window", size=110, window=110, slabs=5)
    single = cut(cases, center="window", size=60, window=60, slabs=5)
    assert len(both) == 5 and len(single) == 10
    for slab in (*both, *single):
        kidneys = 2 if slab["tissues"].shape[1] == 110 else 1
        assert int((slab["tissues"][..., 1] > FAT).sum()) in range(kidneys * 625 - 5, kidneys * 625 + 100)


def test_some_slabs_have_no_kidney(cases: list[dict]) -> None:
    for center, size in (("body", 130), ("window", 60)):
        slabs = cut(cases, center=center, size=size, window=60, slices=1, slabs=8, negative_share=0.5)
        empty = [slab for slab in slabs if not (slab["tissues"] > FAT).any()]
        assert len(empty) == 4
    around = cut(cases, negative_share=1.0)
    assert len(around) > 8


def test_beyond_the_volume_is_air_and_its_last_slice(cases: list[dict]) -> None:
    (slab,) = cut(cases, center="body", size=200, slices=41, slabs=1)
    tissues = slab["tissues"][0]
    assert not tissues[:30].any() and not tissues[:, -30:].any()
    assert torch.equal(tissues[:, :, 0], tissues[:, :, 3]) and (tissues[100, 100] > 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"center": "tumor"}, "kidney, window, body"),
        ({"spacing_mm": (1.0, 2.0, 3.0)}, "x as y"),
        ({"slices": 0}, "at least 1"),
        ({"negative_share": -1.0}, "negative"),
    ],
)
def test_other_settings_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SlabSettings(**changes)


def test_cases_without_a_kidney_are_an_error(cases: list[dict]) -> None:
    for center in ("kidney", "body"):
        with pytest.raises(TrainingDataError, match="tissue slabs"):
            cut(_without(cases), center=center)


def _without(cases: list[dict]) -> list[dict]:
    for key in ("label", "tissues"):
        image = nib.load(cases[0][key])
        nib.save(nib.Nifti1Image(np.zeros(image.shape, np.uint8), image.affine), cases[0][key])
    return cases
