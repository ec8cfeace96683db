"""Reading the second phase beside a scan."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch

from nephro_monai.errors import ScanError
from nephro_monai.io import LoadScand, LoadSecondPhased, find_cases, second_phase_path

AFFINE = np.array([[0, 0, -1.5, 0], [0, -1.5, 0, 0], [-3.0, 0, 0, 0], [0, 0, 0, 1]])


def _write(path, value, shape=(6, 40, 40), affine=AFFINE):
    path.parent.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(np.full(shape, value, np.int16), affine), path)


@pytest.fixture
def case(tmp_path):
    _write(tmp_path / "case_00000" / "imaging.nii.gz", 40)
    return LoadScand()({"image": str(tmp_path / "case_00000" / "imaging.nii.gz")})


@pytest.mark.parametrize(
    ("scan", "second"),
    [("a/imaging.nii.gz", "a/imaging_late.nii.gz"), ("x.1.MHA", "x.1_late.MHA"), ("study.3", "study.3_late")],
)
def test_where_it_lies(scan, second):
    assert second_phase_path(scan, "late").as_posix() == second


def test_it_is_read_on_the_grid_of_the_first(case, tmp_path):
    _write(tmp_path / "case_00000" / "imaging_excretory.nii.gz", 90)
    done = LoadSecondPhased()(case)
    assert done["second_image"].shape == done["image"].shape
    assert (done["second_image"] == 90).all() and (done["image"] == 40).all()
    torch.testing.assert_close(done["second_image"].affine, done["image"].affine)
    assert done["scan"] == case["scan"]
    assert [one.path for one in find_cases([tmp_path])] == [case["scan"].path], "a second phase is no case of its own"


def test_a_missing_phase_is_an_error(case):
    with pytest.raises(ScanError, match=r"imaging_excretory.nii.gz: the excretory phase is missing"):
        LoadSecondPhased()(case)


def test_or_repeated_on_request_and_noted(case):
    done = LoadSecondPhased(missing="repeat")(case)
    assert done["second_image"] is case["image"]
    assert done["scan"].notes[-1] == "There is no excretory phase: the scan itself stood for it."


SHIFTED = AFFINE + 5 * np.eye(4, k=3)


@pytest.mark.parametrize("wrong", [{"shape": (6, 40, 44)}, {"affine": SHIFTED}])
def test_phases_must_be_registered(case, tmp_path, wrong):
    _write(tmp_path / "case_00000" / "imaging_excretory.nii.gz", 90, **wrong)
    with pytest.raises(ScanError, match="register and resample"):
        LoadSecondPhased()(case)


def test_settings_are_checked():
    with pytest.raises(ValueError, match="missing must be"):
        LoadSecondPhased(missing="skip")
    with pytest.raises(ValueError, match="one second phase per case"):
        LoadSecondPhased(keys=["a", "b"])
