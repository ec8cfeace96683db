"""Folders that are no finished cross-validation, and folds that take a second phase.

An ensemble of trained networks is in `tests/evaluation/test_cross_validation.py`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from nephro_monai.engine import RunFoldsd
from nephro_monai.errors import BundleError, ScanError
from nephro_monai.io import LoadScand, LoadSecondPhased
from nephro_monai.phantom import CohortConfig, PhantomConfig, generate_cohort


def test_no_cross_validation(tmp_path: Path):
    with pytest.raises(BundleError, match="holds no cross-validation"):
        RunFoldsd(tmp_path)
    (tmp_path / "cross_validation.json").write_text("{")
    with pytest.raises(BundleError, match="holds no cross-validation"):
        RunFoldsd(tmp_path)


def test_unfinished_cross_validation(tmp_path: Path):
    settings = {"system": "scnet", "folds": 3, "cascade_configs": []}
    (tmp_path / "cross_validation.json").write_text(json.dumps({"settings": settings}))
    (tmp_path / "fold_0").mkdir()
    (tmp_path / "fold_0" / "cascade.json").write_text("{}")
    with pytest.raises(BundleError, match=r"not finished \(1 of 3 folds are trained\)"):
        RunFoldsd(tmp_path)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scan in two registered phases."""
    folder = tmp_path_factory.mktemp("pair") / "data"
    case = PhantomConfig(shape=(24, 64, 64), phase="arterial", second_phase="excretory", special="ordinary")
    generate_cohort(folder, CohortConfig(cases=1, seed=3, case=case))
    return folder / "case_00000" / "imaging.nii.gz"


def two_phase_folds(folder: Path, missing: str) -> RunFoldsd:
    """Two finished folds whose journey is reading and one step that takes the second phase."""
    (folder / "journey.json").write_text(json.dumps({
        "network_def#modules": {},
        "inferer#transforms": [
            {"_target_": "nephro_monai.io.LoadScand", "keys": "image"},
            {"_target_": "nephro_monai.io.LoadSecondPhased", "missing": missing},
            {"_target_": "monai.transforms.ConcatItemsd", "keys": ["image", "second_image"], "name": "phases"},
        ],
    }))  # fmt: skip
    settings = {"system": "scnet", "folds": 2, "cascade_configs": [str(folder / "journey.json")]}
    (folder / "cross_validation.json").write_text(json.dumps({"settings": settings}))
    (folder / "summary.json").write_text("{}")
    for name in ("fold_0", "fold_1"):
        (folder / name).mkdir()
        (folder / name / "cascade.json").write_text("{}")
    return RunFoldsd(folder, device_name="cpu")


def test_folds_take_the_second_phase_that_was_read_once(pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    reads: list[str] = []
    read = LoadSecondPhased.__call__
    monkeypatch.setattr(LoadSecondPhased, "__call__", lambda self, data: reads.append("") or read(self, data))
    case = two_phase_folds(tmp_path, "error")(LoadScand("image")({"image": str(pair)}))
    second = LoadScand("image")({"image": str(pair.with_name("imaging_excretory.nii.gz"))})["image"].as_tensor()
    assert len(reads) == 1 and torch.equal(case["second_image"].as_tensor(), second)
    assert len(case["fold_cases"]) == 2
    for fold in case["fold_cases"]:
        assert fold["second_image"] is case["second_image"], "one volume in memory"
        assert torch.equal(fold["phases"].as_tensor(), torch.cat([case["image"].as_tensor(), second]))


def test_a_missing_second_phase_is_an_error_or_noted(pair: Path, tmp_path: Path):
    alone = tmp_path / "alone.nii.gz"
    alone.write_bytes(pair.read_bytes())
    case = LoadScand("image")({"image": str(alone)})
    for missing in ("error", "repeat"):
        (tmp_path / missing).mkdir()
    with pytest.raises(ScanError, match="the excretory phase is missing"):
        two_phase_folds(tmp_path / "error", "error")(case)
    done = two_phase_folds(tmp_path / "repeat", "repeat")(case)
    assert done["scan"].notes[-1] == "There is no excretory phase: the scan itself stood for it."
