"""Two contrast phases of one synthetic patient."""

from __future__ import annotations

import functools

import nibabel as nib
import numpy as np
import pytest

from nephro_monai.phantom import CohortConfig, PhantomConfig, Tissue, generate_case, generate_cohort

SHAPE = (24, 96, 96)


@functools.cache
def _case(second_phase=None, phase="arterial", subtype="oncocytoma"):
    config = PhantomConfig(
        shape=SHAPE, subtype=subtype, phase=phase, second_phase=second_phase, special="ordinary",
    )  # fmt: skip
    return generate_case(config, [2, 5])


def test_the_first_scan_does_not_depend_on_the_second():
    alone, pair = _case(), _case("excretory")
    np.testing.assert_array_equal(pair.image, alone.image)
    np.testing.assert_array_equal(pair.tissues, alone.tissues)
    assert alone.second_image is None and "second_phase" not in alone.record["phantom"]
    assert pair.record["phantom"].pop("second_phase") == "excretory"
    assert pair.record == alone.record
    pair.record["phantom"]["second_phase"] = "excretory"


def test_enhancement_changes_and_the_rest_stays():
    pair = _case("excretory")
    assert pair.second_image.shape == SHAPE and pair.second_image.dtype == np.int16

    def means(tissue):
        where = pair.tissues == tissue
        assert where.any()
        return float(pair.image[where].mean()), float(pair.second_image[where].mean())

    first, second = means(Tissue.AORTA)
    assert first > second + 50, "the arterial phase is the bright one"
    first, second = means(Tissue.COLLECTING_SYSTEM)
    assert second > first + 100, "contrast is excreted"
    for tissue in (Tissue.VISCERAL_FAT, Tissue.SUBCUTANEOUS_FAT, Tissue.TRABECULAR_BONE):
        first, second = means(tissue)
        assert second == pytest.approx(first, abs=45), tissue


def test_signs_of_a_tumor_lie_at_the_same_place():
    pair = _case("nephrographic")
    solid, scar = pair.tissues == Tissue.TUMOR_SOLID, pair.tissues == Tissue.TUMOR_SCAR
    assert scar.any()
    for image in (pair.image, pair.second_image):
        assert image[scar].mean() < image[solid].mean() - 20


def test_noise_is_drawn_anew():
    pair = _case("excretory")
    # Voxel-to-voxel differences in fat are noise: those of the two scans have nothing to do with each other.
    noise = [np.diff(image.astype(float), axis=2) for image in (pair.image, pair.second_image)]
    fat = (pair.tissues == Tissue.SUBCUTANEOUS_FAT)[:, :, 1:] & (pair.tissues == Tissue.SUBCUTANEOUS_FAT)[:, :, :-1]
    assert abs(np.corrcoef(noise[0][fat], noise[1][fat])[0, 1]) < 0.5


def test_a_cohort_of_pairs(tmp_path):
    case = PhantomConfig(shape=(16, 64, 64), phase="arterial", second_phase="excretory")
    cohort = CohortConfig(cases=1, seed=4, case=case)
    (record,) = generate_cohort(tmp_path, cohort)
    assert record["phantom"]["second_phase"] == "excretory"
    first, second = (nib.load(tmp_path / "case_00000" / f"imaging{end}.nii.gz") for end in ("", "_excretory"))
    assert second.shape == first.shape
    np.testing.assert_array_equal(second.affine, first.affine)
    written = (tmp_path / "case_00000" / "imaging.nii.gz").read_bytes()
    (tmp_path / "case_00000" / "imaging_excretory.nii.gz").unlink()
    generate_cohort(tmp_path, cohort)  # a case that lacks its second phase is not done
    assert (tmp_path / "case_00000" / "imaging_excretory.nii.gz").is_file()
    assert (tmp_path / "case_00000" / "imaging.nii.gz").read_bytes() == written


@pytest.mark.parametrize("phase", [None, "excretory"])
def test_two_different_phases_are_needed(phase):
    with pytest.raises(ValueError, match="needs another phase"):
        PhantomConfig(phase=phase, second_phase="excretory")
    with pytest.raises(ValueError, match="second_phase must be one of"):
        PhantomConfig(phase="arterial", second_phase="late")
