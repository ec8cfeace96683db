"""`nephro predict` and the cascade bundle as users run them, with the weights that ship."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import nephro_monai
from nephro_monai.cli.main import app
from nephro_monai.engine import find_bundle
from nephro_monai.engine.manifest import CASE_FILES
from nephro_monai.errors import BundleError, NephroError, ScanError, WeightsError


def predict(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["predict", *map(str, arguments), "--device", "cpu"])


@pytest.fixture(scope="module")
def results(phantom_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three synthetic cases and one broken scan, predicted once."""
    out = tmp_path_factory.mktemp("predict")
    broken = out / "broken.nii.gz"
    broken.write_bytes((phantom_cohort / "case_00000" / "imaging.nii.gz").read_bytes()[:2000])
    result = predict(phantom_cohort, broken, "--out", out / "results")
    assert result.exit_code == 1, result.output
    return out / "results"


def test_every_case_has_its_files_and_the_broken_one_its_reason(results: Path) -> None:
    rows = {row["case"]: row for row in csv.DictReader((results / "summary.csv").open())}
    assert [rows[f"case_0000{k}"]["status"] for k in range(3)] == ["done"] * 3
    assert rows["broken"]["status"] == "failed"
    assert "broken.nii.gz" in rows["broken"]["reason"] and "Traceback" not in rows["broken"]["reason"]
    for k in range(3):
        assert all((results / f"case_0000{k}" / name).stat().st_size > 0 for name in CASE_FILES)
    assert not list((results / "broken").glob("*")) if (results / "broken").exists() else True


def test_segmentations_lie_on_the_scans_own_grid(results: Path, phantom_cohort: Path) -> None:
    for k in range(3):
        scan = nib.load(phantom_cohort / f"case_0000{k}" / "imaging.nii.gz")
        outlined = nib.load(results / f"case_0000{k}" / "segmentation.nii.gz")
        assert outlined.shape == scan.shape
        np.testing.assert_array_equal(outlined.affine, scan.affine)
        assert nib.aff2axcodes(outlined.affine) == ("I", "P", "L")
        assert outlined.get_data_dtype() == np.uint8
        assert set(np.unique(np.asanyarray(outlined.dataobj))) <= {0, 1, 2}


@pytest.mark.parametrize("k", range(3))
def test_kidneys_are_found_where_they_are(k: int, results: Path, phantom_cohort: Path) -> None:
    """Small scans have voxels of 2.5 x 2.5 x 6 mm; the figures on full ones stand in the README."""
    truth = np.asanyarray(nib.load(phantom_cohort / f"case_0000{k}" / "segmentation.nii.gz").dataobj) > 0
    found = np.asanyarray(nib.load(results / f"case_0000{k}" / "segmentation.nii.gz").dataobj) > 0
    assert 2 * (truth & found).sum() / (truth.sum() + found.sum()) > 0.5


def test_the_diagnosis_says_what_it_rests_on(results: Path) -> None:
    for k in range(3):
        content = json.loads((results / f"case_0000{k}" / "diagnosis.json").read_text())
        assert content["verdict"] in ("malignant", "benign", "undetermined") and content["reason"]
        assert "not for clinical use" in content["disclaimer"]
        assert "synthetic" in content["training_notice"]
        stages = {"localizer", "segmenter", "coarse_segmenter", "colorizer", "classifier"}
        assert set(content["provenance"]) == stages
        assert all(len(entry["sha256"]) == 64 for entry in content["provenance"].values())
        heard = {tumor["index"] for tumor in content["tumors"] if tumor["has_say"]}
        assert heard or not content["tumors"]
        assert sum(content["votes"].values()) == sum(entry["tumor"] in heard for entry in content["slices"])
        for entry in content["slices"]:
            assert abs(sum(entry["probabilities"].values()) - 1) < 1e-3


def test_a_second_run_skips_and_another_folder_repeats_the_bytes(
    results: Path, phantom_cohort: Path, tmp_path: Path
) -> None:
    assert predict(phantom_cohort, "--out", results).exit_code == 0
    rows = list(csv.DictReader((results / "summary.csv").open()))
    assert [row["status"] for row in rows] == ["skipped"] * 3
    assert "--overwrite" in rows[0]["reason"]
    one = phantom_cohort / "case_00000"
    assert predict(one, "--out", tmp_path / "twice").exit_code == 0
    for name in ("segmentation.nii.gz", "diagnosis.json"):
        first = (results / "case_00000" / name).read_bytes()
        assert (tmp_path / "twice" / "case_00000" / name).read_bytes() == first


def test_the_bundle_command_gives_the_same_results_from_another_folder(
    results: Path, phantom_cohort: Path, tmp_path: Path
) -> None:
    config = find_bundle("nephro_cascade") / "configs" / "inference.json"
    subprocess.run(
        [
            sys.executable, "-m", "monai.bundle", "run", "--config_file", str(config),
            "--dataset_dir", str(phantom_cohort / "case_00001"), "--output_dir", str(tmp_path / "bundle"),
            "--device_name", "cpu",
        ],
        cwd=tmp_path, check=True, capture_output=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    for name in ("segmentation.nii.gz", "diagnosis.json"):
        first = (results / "case_00001" / name).read_bytes()
        assert (tmp_path / "bundle" / "case_00001" / name).read_bytes() == first


def test_the_cascade_is_one_compose_in_python(results: Path, phantom_cohort: Path) -> None:
    cascade = nephro_monai.load_cascade(device="cpu")
    case = cascade({"image": str(phantom_cohort / "case_00000" / "imaging.nii.gz")})
    content = json.loads((results / "case_00000" / "diagnosis.json").read_text())
    assert case["diagnosis"].verdict == content["verdict"]
    assert case["segmentation"].shape == case["image"].shape
    assert len(case["slice_votes"]) == len(case["colorized_slices"]) == len(content["slices"])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["no_such_scan.nii.gz"], ScanError, "no_such_scan"),
        (["SCAN", "--bundle", "no_such_bundle"], BundleError, "nephro_cascade"),
        (["SCAN", "--bundle", "ct_colorization_cic"], BundleError, "not a cascade"),
        (["SCAN", "--set", "no_such_id=1"], BundleError, "no id"),
    ],
)
def test_wrong_use_is_refused_before_any_work(
    phantom_cohort: Path, tmp_path: Path, arguments: list[str], error: type[NephroError], message: str
) -> None:
    scan = str(phantom_cohort / "case_00000" / "imaging.nii.gz")
    result = predict(*[scan if a == "SCAN" else a for a in arguments], "--out", tmp_path / "out")
    assert isinstance(result.exception, error)
    assert message in str(result.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("change", "message"), [("missing", "model.pt"), ("altered", "was altered")])
def test_weights_that_are_missing_or_altered_are_told_of_before_any_work(
    phantom_cohort: Path, tmp_path: Path, change: str, message: str
) -> None:
    bundle = shutil.copytree(find_bundle("ct_colorization_cic"), tmp_path / "ct_colorization_cic")
    weights = bundle / "models" / "model.pt"
    if change == "missing":
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    scan = phantom_cohort / "case_00000" / "imaging.nii.gz"
    result = predict(scan, "--set", f"colorizer#bundle={bundle}", "--out", tmp_path / "out")
    assert isinstance(result.exception, WeightsError)
    assert message in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_wrong_use_is_one_line_and_exit_code_two(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nephro_monai.cli.main", "predict", "nothing.nii.gz", "--out", str(tmp_path / "o")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1 and result.stderr.startswith("nephro: ")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_gpu_outlines_what_the_cpu_outlines(results: Path, phantom_cohort: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["predict", str(phantom_cohort / "case_00000"), "--out", str(tmp_path), "--device", "cuda"]
    )
    assert result.exit_code == 0, result.output
    ours = np.asanyarray(nib.load(tmp_path / "case_00000" / "segmentation.nii.gz").dataobj) > 0
    theirs = np.asanyarray(nib.load(results / "case_00000" / "segmentation.nii.gz").dataobj) > 0
    assert 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()) > 0.97


@pytest.mark.parametrize(("changed", "option"), [("seed=abc", "--seed"), ("overwrite=true", "--overwrite")])
def test_what_has_an_option_of_its_own_is_not_set_in_vain(tmp_path, changed, option):
    result = CliRunner().invoke(app, ["predict", str(tmp_path), "--out", str(tmp_path / "out"), "--set", changed])
    assert result.exit_code == 2 and option in " ".join(result.output.replace("│", " ").split())
