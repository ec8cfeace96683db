"""The file with a case's kidney boxes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from nephro_monai.io import SaveKidneyBoxesd
from nephro_monai.io.save_boxes import box_corners_mm
from nephro_monai.structures import Box


def test_outer_edges_in_world_coordinates():
    affine = np.array([[2.0, 0, 0, -100], [0, 3.0, 0, 10], [0, 0, 5.0, 0], [0, 0, 0, 1]])
    assert box_corners_mm(Box(0, 1, 2, 10, 3, 4), affine) == {"min": [-101.0, 11.5, 7.5], "max": [-81.0, 17.5, 17.5]}


def test_file_holds_boxes_and_how_they_were_found(tmp_path):
    case = {
        "case": "a",
        "image": MetaTensor(torch.zeros(1, 4, 4, 4), affine=torch.eye(4, dtype=torch.float64)),
        "kidneys": [Box(0, 0, 0, 2, 2, 2), Box(2, 2, 2, 4, 4, 4)],
        "localization": {"found": True, "fallback": False, "note": "Two kidneys were found.", "detections": 7},
    }
    assert SaveKidneyBoxesd(tmp_path)(case) == case
    content = json.loads((tmp_path / "a" / "kidneys.json").read_text())
    assert content["localization"]["detections"] == 7
    assert [Box(**kidney["voxels"]) for kidney in content["kidneys"]] == case["kidneys"]
    assert content["kidneys"][1]["mm"] == {"min": [1.5, 1.5, 1.5], "max": [3.5, 3.5, 3.5]}
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["kidneys.json"]


def test_one_key():
    with pytest.raises(ValueError, match="one list"):
        SaveKidneyBoxesd("out", keys=["a", "b"])
