"""The challenge's zip: what is checked, and what is written."""

from __future__ import annotations

import gzip
import zipfile

import numpy as np
import pytest

from nephro_monai.errors import OutputError, TrainingDataError
from nephro_monai.evaluation.submission import check_submission, write_submission
from tests.evaluation.conftest import AFFINE, SHAPE, label_map, save

CASES = (210, 211, 212)


@pytest.fixture
def images(tmp_path):
    for case in CASES:
        save(tmp_path / "images" / f"case_{case:05d}" / "imaging.nii.gz", np.zeros(SHAPE, np.int16))
    return tmp_path / "images"


@pytest.fixture
def predictions(tmp_path):
    for case in CASES:
        save(tmp_path / "flat" / f"prediction_{case:05d}.nii.gz", label_map())
    return tmp_path / "flat"


def _offence(predictions, images):
    return check_submission(predictions, images, CASES).offences


def test_clean_predictions_are_zipped_as_the_challenge_wants_them(predictions, images, tmp_path):
    found = check_submission(predictions, images, CASES)
    assert found.offences == found.missing == ()
    write_submission(found, tmp_path / "a.zip")
    write_submission(found, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"prediction_{case:05d}.nii.gz" for case in CASES]
        assert archive.read("prediction_00210.nii.gz") == (predictions / "prediction_00210.nii.gz").read_bytes()


def test_the_layout_of_a_run_and_plain_nifti(images, tmp_path):
    for case in CASES[:2]:
        save(tmp_path / "run" / f"case_{case:05d}" / "segmentation.nii.gz", label_map())
    plain = save(tmp_path / "run" / "prediction_00212.nii", label_map())
    save(tmp_path / "run" / "case_00003" / "segmentation.nii.gz", label_map())
    found = check_submission(tmp_path / "run", images.parent / "images", CASES)
    assert (found.offences, found.ignored) == ((), ("case_00003",))
    write_submission(found, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert gzip.decompress(archive.read("prediction_00212.nii.gz")) == plain.read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.unlink(), "case_00211: there is no prediction."),
        (lambda path: save(path, label_map()[:-1]), "its shape is (19, 40, 60), that of its image (20, 40, 60)"),
        (lambda path: save(path, label_map(), AFFINE + np.eye(4) * 0.001), "its affine differs"),
        (lambda path: save(path, label_map() * np.uint8(2)), "values other than 0, 1 and 2 (64 voxels of 4)"),
        (lambda path: save(path, label_map().astype(np.int16)), "its number type is int16; write uint8."),
        (lambda path: save(path, label_map() + np.float32(0.25)), "no whole numbers"),
        (lambda path: path.write_bytes(b"\x1f\x8b nonsense"), "cannot be read"),
        (lambda path: save(path.with_name("prediction_00211.nii"), label_map()), "there are 2 predictions"),
    ],
)
def test_each_offence_is_a_line(predictions, images, change, message):
    change(predictions / "prediction_00211.nii.gz")
    offences = _offence(predictions, images)
    assert any(message in line for line in offences), offences
    assert all(line.startswith("case_00211: ") and "\n" not in line for line in offences)


def test_a_prediction_with_two_faults_is_two_lines(predictions, images):
    save(predictions / "prediction_00210.nii.gz", label_map()[1:].astype(np.int16))
    assert len(_offence(predictions, images)) == 2


def test_missing_cases_and_their_cost(predictions, images, tmp_path):
    (predictions / "prediction_00212.nii.gz").unlink()
    found = check_submission(predictions, images, CASES, allow_missing=True)
    assert found.offences == ()
    assert "1 of 3 cases are missing (case_00212)" in found.cost
    assert "at most 0.667" in found.cost
    write_submission(found, tmp_path / "a.zip")
    assert len(zipfile.ZipFile(tmp_path / "a.zip").namelist()) == 2
    with pytest.raises(ValueError, match="1 offences"):
        write_submission(check_submission(predictions, images, CASES), tmp_path / "b.zip")
    assert not (tmp_path / "b.zip").exists()


def test_images_that_are_missing_or_broken(predictions, images):
    (images / "case_00210" / "imaging.nii.gz").unlink()
    (images / "case_00211" / "imaging.nii.gz").write_bytes(b"")
    first, second = _offence(predictions, images)
    assert first.startswith("case_00210: there is no image")
    assert second.startswith("case_00211: its image is of no use")


def test_wrong_folders_and_names(predictions, images, tmp_path):
    with pytest.raises(TrainingDataError, match="No prediction of case_00000 to case_00001"):
        check_submission(predictions, images, (0, 1))
    with pytest.raises(TrainingDataError, match="No image in"):
        check_submission(predictions, tmp_path / "nowhere", CASES)
    with pytest.raises(OutputError, match=r"ends in \.zip"):
        write_submission(check_submission(predictions, images, CASES), tmp_path / "a.tar")
