"""KiTS23's classes, with and without cysts."""

from __future__ import annotations

import numpy as np
import pytest

from nephro_monai.evaluation.label_map import LabelMap
from nephro_monai.evaluation.regions import KITS23_REGIONS, score_regions
from tests.evaluation.conftest import AFFINE, label_map


def test_masses_are_tumors_and_cysts():
    truth, found = label_map(), label_map()
    truth[8:12, 18:22, 10:14] = 3
    found[8:12, 18:22, 10:12] = 3
    scores = score_regions(LabelMap(found, AFFINE), LabelMap(truth, AFFINE))
    assert scores["kits23_kidney_and_masses_dice"] == scores["kits23_tumor_dice"] == 1.0
    assert scores["kits23_masses_dice"] == pytest.approx(2 * 96 / (96 + 128))
    assert scores["kits23_masses_surface_dice"] < scores["kits23_tumor_surface_dice"] == 1.0
    assert scores["tumor_hausdorff95_mm"] == scores["kidney_hausdorff95_mm"] == 0.0


def test_tolerances_are_those_of_kits23():
    assert [round(tolerance, 2) for _, tolerance in KITS23_REGIONS.values()] == [1.03, 1.13, 1.15]


def test_no_tumor_in_either():
    labels = LabelMap(np.where(label_map() == 2, 0, label_map()).astype(np.uint8), AFFINE)
    scores = score_regions(labels, labels)
    assert scores["kits23_tumor_dice"] == scores["kits23_tumor_surface_dice"] == 1.0
    assert scores["tumor_hausdorff95_mm"] is None
