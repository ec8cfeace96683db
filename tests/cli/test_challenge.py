"""`nephro submit`, `nephro check-dataset`, `nephro compare` and the benchmark, as they are typed."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
from typer.testing import CliRunner

from nephro_monai.cli.main import app
from tests.evaluation.conftest import SHAPE, label_map, save


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def folders(tmp_path):
    """Data of two cases and a prediction of each."""
    rng = np.random.default_rng(0)
    for case in (210, 211):
        name = f"case_{case:05d}"
        save(tmp_path / "data" / name / "imaging.nii.gz", rng.integers(-900, 400, SHAPE).astype(np.int16))
        save(tmp_path / "data" / name / "segmentation.nii.gz", label_map())
        save(tmp_path / "flat" / f"prediction_{case:05d}.nii.gz", label_map(shift=1))
    (tmp_path / "data" / "kits.json").write_text(json.dumps([]))
    return tmp_path


def test_submit(run, folders):
    out = folders / "zips" / "predictions.zip"
    arguments = ["submit", folders / "flat", "--images", folders / "data", "--out", out, "--cases", "210-212"]
    result = run(*arguments)
    assert result.exit_code == 1
    assert "case_00212: there is no prediction." in result.output
    assert not out.exists()
    result = run(*arguments, "--allow-missing")
    assert result.exit_code == 0, result.output
    assert "at most 0.667" in result.output
    assert zipfile.ZipFile(out).namelist() == ["prediction_00210.nii.gz", "prediction_00211.nii.gz"]
    assert run("submit", folders / "flat", "--images", folders / "data", "--cases", "last").exit_code == 2


def test_check_dataset(run, folders):
    table = folders / "table.csv"
    result = run("check-dataset", folders / "data", "--out", table)
    assert result.exit_code == 0, result.output
    assert "2 cases, 0 with errors." in result.output
    assert table.is_file()
    result = run("check-dataset", folders / "data", "--cases", "209-211")
    assert result.exit_code == 1
    assert "case_00209: There is no folder of this case." in result.output
    assert run("check-dataset", folders / "nowhere").exit_code == 2


def test_compare(run, folders):
    for case in (210, 211):
        save(folders / "run" / f"case_{case:05d}" / "segmentation.nii.gz", label_map())
    result = run("compare", folders / "run", folders / "flat", "--data", folders / "data", "--out", folders / "out")
    assert result.exit_code == 0, result.output
    assert "run against flat" in result.output
    assert (folders / "out" / "differences.png").is_file()
    assert run("compare", folders / "run", folders / "nowhere", "--data", folders / "data").exit_code == 2


def test_benchmark(run):
    result = run("benchmark-evaluation", "--cases", 7, "--shape", 20, 48, 48)
    assert result.exit_code == 0, result.output
    assert "7 cases of 20 x 48 x 48" in result.output
    assert run("benchmark-evaluation", "--shape", 4, 48, 48).exit_code == 2
