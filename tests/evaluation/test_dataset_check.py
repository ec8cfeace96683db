"""What is said of a data folder."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from nephro_monai.errors import TrainingDataError
from nephro_monai.evaluation.dataset_check import check_dataset, write_checks
from tests.evaluation.conftest import AFFINE, SHAPE, label_map, save


@pytest.fixture
def folder(tmp_path):
    """Cases 0, 15 and 210; the last is a test case."""
    rng = np.random.default_rng(0)
    for case in (0, 15, 210):
        image = rng.integers(-1000, 400, SHAPE).astype(np.int16)
        save(tmp_path / "d" / f"case_{case:05d}" / "imaging.nii.gz", image)
        if case < 210:
            save(tmp_path / "d" / f"case_{case:05d}" / "segmentation.nii.gz", label_map())
    records = [{"case_id": f"case_{case:05d}", "malignant": True} for case in (0, 15)]
    (tmp_path / "d" / "kits.json").write_text(json.dumps(records))
    return tmp_path / "d"


def _first(folder):
    return check_dataset(folder)[0][0]


def test_a_sound_folder(folder, tmp_path):
    rows, notes = check_dataset(folder, workers=2)
    assert notes == []
    assert [row.errors for row in rows] == [(), (), ()]
    first = rows[0]
    assert (first.shape, first.spacing_mm, first.axes) == ("20 x 40 x 60", "5 x 2 x 2", "IPL")
    assert (first.dtype, first.labels, first.hu, first.notes) == ("int16, uint8", "0 1 2", "-1000 to 399", ())
    assert "label was doubtful or repaired" in rows[1].notes[0]
    assert rows[2].notes == ("A test case: it has no label map.",)
    write_checks(rows, tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="") as file:
        assert [line["case"] for line in csv.DictReader(file)] == ["case_00000", "case_00015", "case_00210"]


def test_synthetic_cases_are_not_called_doubtful(folder):
    records = [{"case_id": f"case_{case:05d}", "malignant": True, "synthetic": True} for case in (0, 15)]
    (folder / "kits.json").write_text(json.dumps(records))
    assert check_dataset(folder)[0][1].notes == ()


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("segmentation", label_map()[1:], "shape (19, 40, 60), the image (20, 40, 60)"),
        ("segmentation", label_map() * np.uint8(3), "Labels other than 0, 1 and 2: 3, 6."),
        ("segmentation", label_map() * 0, "Nothing is labeled."),
        ("segmentation", None, "segmentation.nii.gz is missing."),
        ("imaging", None, "imaging.nii.gz is missing."),
        ("imaging", np.full(SHAPE, 7, np.int16), "Every voxel of the image is 7."),
        ("imaging", np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.float32) % 255, "no HU of an abdomen"),
        ("imaging", np.full(SHAPE, np.nan, np.float32), "NaN"),
    ],
)
def test_errors(folder, name, values, message):
    path = folder / "case_00000" / f"{name}.nii.gz"
    if values is None:
        path.unlink()
    else:
        save(path, values)
    row = _first(folder)
    assert any(message in text for text in row.errors), row.errors


def test_other_affines_and_corrupt_files(folder):
    save(folder / "case_00000" / "segmentation.nii.gz", label_map(), AFFINE + np.eye(4))
    assert "affines of image and label map differ" in _first(folder).errors[0]
    path = folder / "case_00000" / "imaging.nii.gz"
    path.write_bytes(path.read_bytes()[:-300])
    assert "truncated or damaged" in _first(folder).errors[0]
    (folder / "case_00015" / "segmentation.nii.gz").write_bytes(b"")
    rows, _ = check_dataset(folder)
    assert "cannot be read" in rows[1].errors[0]
    assert rows[2].errors == ()


def test_notes(folder):
    image = np.random.default_rng(0).integers(-3000, 9000, SHAPE).astype(np.int16)
    save(folder / "case_00000" / "imaging.nii.gz", image)
    labels = np.where(label_map() == 2, 1, label_map()).astype(np.uint16)
    save(folder / "case_00000" / "segmentation.nii.gz", labels)
    (folder / "kits.json").write_text(json.dumps([{"case_id": "case_00015"}]))
    row = _first(folder)
    assert (row.errors, row.dtype) == ((), "int16, uint16")
    assert [text.split(".")[0] for text in row.notes] == [
        "Values beyond -1100 to 4000 HU (they are clipped)", "No tumor is labeled", "kits"
    ]  # fmt: skip


def test_absent_cases_and_folders(folder, tmp_path):
    rows, _ = check_dataset(tmp_path / "d", expected=[0, 1, 15])
    assert [(row.case, bool(row.errors)) for row in rows][:3] == [
        ("case_00000", False), ("case_00001", True), ("case_00015", False)
    ]  # fmt: skip
    (folder / "kits.json").unlink()
    assert "kits.json is missing" in check_dataset(folder)[1][0]
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingDataError, match="holds no case"):
        check_dataset(tmp_path / "empty")
