"""Scans that are unusual, but scans: each passes the whole cascade and gets a truthful answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from nephro_monai.engine import cascade_parser, instantiate

SHAPES = {
    "eight_slices": (8, 160, 160), "wide": (24, 128, 199), "extreme_hu": (24, 128, 128), "air": (24, 128, 128),
    "one_kidney": (48, 160, 160),
}  # fmt: skip


def unusual(name: str, cohort: Path) -> nib.Nifti1Image:
    """A scan cut from, or filled around, a synthetic one."""
    scan = nib.load(cohort / "case_00002" / "imaging.nii.gz")
    hu = np.asanyarray(scan.dataobj).astype(np.int16)
    slices, rows, columns = SHAPES[name]
    first = (hu.shape[0] - slices) // 2
    out = np.full(SHAPES[name], -1000, np.int16)
    if name != "air":
        block = hu[first : first + slices, :rows, :columns]
        out[:, : block.shape[1], : block.shape[2]] = block
    if name == "one_kidney":
        out[_left_kidney(cohort)] = -100  # KiTS19's last axis runs to the patient's left
    if name == "extreme_hu":
        out[3, 5, 5], out[4, 6, 6] = -6986, 18326
    return nib.Nifti1Image(out, scan.affine)


def _left_kidney(cohort: Path) -> np.ndarray:
    label = np.asanyarray(nib.load(cohort / "case_00002" / "segmentation.nii.gz").dataobj) > 0
    label[..., : label.shape[2] // 2] = False
    return label


@pytest.fixture(scope="module")
def results(phantom_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    scans = tmp_path_factory.mktemp("unusual")
    for name in SHAPES:
        nib.save(unusual(name, phantom_cohort), scans / f"{name}.nii.gz")
    out = tmp_path_factory.mktemp("results")
    parser = cascade_parser(overrides={"device_name": "cpu", "inputs": [str(scans)], "output_dir": str(out)})
    outcomes = instantiate(parser, "evaluator").run()
    assert {o.case.name: (o.status, o.reason) for o in outcomes} == dict.fromkeys(sorted(SHAPES), ("done", ""))
    return scans, out


def diagnosis(results: tuple[Path, Path], name: str) -> dict[str, Any]:
    return dict(json.loads((results[1] / name / "diagnosis.json").read_text()))


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_the_outline_lies_on_the_scans_grid(results: tuple[Path, Path], name: str) -> None:
    scan = nib.load(results[0] / f"{name}.nii.gz")
    outlined = nib.load(results[1] / name / "segmentation.nii.gz")
    assert outlined.shape == scan.shape
    np.testing.assert_allclose(outlined.affine, scan.affine, atol=1e-5)


def test_a_scan_without_a_body_says_that_nothing_was_found(results: tuple[Path, Path]) -> None:
    content = diagnosis(results, "air")
    assert content["verdict"] == "undetermined"
    assert content["kidneys"] == [] and content["tumors"] == [] and content["slices"] == []
    assert content["localization"]["fallback"] is True


def test_of_one_kidney_the_one_that_is_there_is_outlined(results: tuple[Path, Path], phantom_cohort: Path) -> None:
    truth = np.asanyarray(nib.load(phantom_cohort / "case_00002" / "segmentation.nii.gz").dataobj) > 0
    gone = _left_kidney(phantom_cohort)
    there = truth & ~gone
    assert there.sum() > 1000 and gone.sum() > 1000
    outlined = np.asanyarray(nib.load(results[1] / "one_kidney" / "segmentation.nii.gz").dataobj) > 0
    assert (outlined & there).sum() > 0.6 * there.sum()
    assert (outlined & gone).sum() < 0.2 * gone.sum()
    assert "right" in {kidney["side"] for kidney in diagnosis(results, "one_kidney")["kidneys"]}


def test_where_no_tumor_is_outlined_the_answer_is_undetermined(phantom_cohort: Path, tmp_path: Path) -> None:
    nothing = "inferer#transforms#2#settings#loss_weights"
    parser = cascade_parser(overrides={
        "device_name": "cpu", "inputs": [str(phantom_cohort / "case_00002")], "output_dir": str(tmp_path),
        nothing: [1.0, 1.0, 1e9],
    })  # fmt: skip
    (outcome,) = instantiate(parser, "evaluator").run()
    assert outcome.status == "done" and outcome.diagnosis is not None
    assert (outcome.diagnosis["verdict"], outcome.diagnosis["mean_probability_malignant"]) == ("undetermined", None)
    assert outcome.diagnosis["tumors"] == [] and outcome.diagnosis["slices"] == []
    assert "no tumor" in outcome.diagnosis["reason"].lower()
    assert outcome.diagnosis["kidneys"]


def test_extreme_hu_are_told_of(results: tuple[Path, Path]) -> None:
    notes = " ".join(diagnosis(results, "extreme_hu")["scan"]["notes"])
    assert "-6986" in notes and "18326" in notes


def test_undetermined_comes_with_its_reason(results: tuple[Path, Path]) -> None:
    for name in SHAPES:
        content = diagnosis(results, name)
        assert content["reason"]
        assert (content["verdict"] == "undetermined") or content["slices"]
