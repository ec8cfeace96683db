"""The dictionary transform around every reader."""

from __future__ import annotations

import pytest
import torch

from nephro_monai.errors import ScanError
from nephro_monai.io import LoadScand
from nephro_monai.structures import Scan


def test_adds_image_and_scan_and_leaves_its_input(write_nifti, hounsfield):
    case = {"image": str(write_nifti(hounsfield)), "case": "a"}
    loaded = LoadScand()(case)
    assert isinstance(case["image"], str)
    assert loaded["image"].dtype == torch.float32
    assert loaded["image"].affine.dtype == torch.float64
    assert loaded["image"].is_contiguous()
    assert isinstance(loaded["scan"], Scan)
    assert loaded["scan"].path == case["image"]
    assert loaded["case"] == "a"


def test_refuses_two_keys():
    with pytest.raises(ValueError, match="one scan per case"):
        LoadScand(keys=("image", "other"))


def test_missing_paths_and_unknown_types(tmp_path):
    with pytest.raises(ScanError, match="does not exist"):
        LoadScand()({"image": str(tmp_path / "a.nii.gz")})
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(ScanError, match=r"unknown file type; allowed are \.nii"):
        LoadScand()({"image": str(tmp_path / "a.png")})
