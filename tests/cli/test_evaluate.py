"""`nephro evaluate` as it is typed."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from nephro_monai.cli.evaluate import evaluate

AFFINE = np.diag([2.0, 2.0, 5.0, 1.0])


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(evaluate)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def folders(tmp_path):
    labels = np.zeros((10, 12, 14), np.uint8)
    labels[2:8, 2:8, 2:8] = 1
    labels[3:5, 3:5, 3:5] = 2
    for path in (
        tmp_path / "data" / "case_00000" / "segmentation.nii.gz",
        tmp_path / "run" / "prediction_00000.nii.gz",
    ):
        path.parent.mkdir(parents=True)
        nib.save(nib.Nifti1Image(labels, AFFINE), path)
    (tmp_path / "data" / "kits.json").write_text(json.dumps([{"case_id": "case_00000", "malignant": True}]))
    return tmp_path


def test_tables_are_written_and_printed(run, folders):
    result = run(folders / "run", "--data", folders / "data", "--out", folders / "out")
    assert result.exit_code == 0, result.output
    assert "case_00000" in result.output
    tables = ["lesions.csv", "metrics.csv", "summary.json", "summary.md"]
    assert sorted(p.name for p in (folders / "out").iterdir()) == ["dice_by_tumor_size.png", "froc.png", *tables]
    assert "![Froc](froc.png)" in (folders / "out" / "summary.md").read_text()
    assert json.loads((folders / "out" / "summary.json").read_text())["kidney_dice"]["mean"] == 1.0


def test_a_missing_prediction_is_exit_code_1(run, folders):
    (folders / "data" / "case_00000").rename(folders / "data" / "case_00001")
    (folders / "run" / "prediction_00000.nii.gz").rename(folders / "run" / "prediction_00001.nii.gz")
    other = folders / "data" / "case_00002"
    other.mkdir()
    nib.save(nib.Nifti1Image(np.ones((10, 12, 14), np.uint8), AFFINE), other / "segmentation.nii.gz")
    assert run(folders / "run", "--data", folders / "data").exit_code == 1
    assert run(folders / "run", "--data", folders / "data", "--only-predicted").exit_code == 0


def test_organ_map(run, folders):
    prediction = folders / "run" / "prediction_00000.nii.gz"
    for labels in ("1,2", "1 2"):
        result = run(prediction, "--truth", prediction, "--kidney-labels", labels)
        assert result.exit_code == 0, result.output
        assert "Kidney Dice 1.000 (labels 1, 2 of prediction_00000.nii.gz)" in result.output


@pytest.mark.parametrize(
    "arguments",
    [["run"], ["run", "--data", "data", "--truth", "x"], ["nowhere", "--data", "data"],
     ["run/prediction_00000.nii.gz", "--truth", "run/prediction_00000.nii.gz", "--kidney-labels", "left"]],
)  # fmt: skip
def test_wrong_use_is_exit_code_2(run, folders, monkeypatch, arguments):
    monkeypatch.chdir(folders)
    assert run(*arguments).exit_code == 2
