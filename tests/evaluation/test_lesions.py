"""Lesions matched by hand, and the FROC of a small cohort."""

from __future__ import annotations

import numpy as np
import pytest

from nephro_monai.evaluation.label_map import LabelMap
from nephro_monai.evaluation.lesions import Lesion, match_lesions, score_lesions

AFFINE = np.diag([2.0, 5.0, 2.0, 1.0])  # 0.02 ml per voxel; 0.1 ml are 5 voxels


def _map(*boxes: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]) -> LabelMap:
    labels = np.zeros((20, 20, 40), np.uint8)
    for x, y, z in boxes:
        labels[slice(*x), slice(*y), slice(*z)] = 2
    return LabelMap(labels, AFFINE)


def _lesion(kind: str, score: float, hit: bool, diameter: float = 30.0) -> Lesion:
    return Lesion("a", kind, score, diameter, hit, score)


FIRST, SECOND = ((2, 8), (2, 8), (2, 8)), ((2, 6), (2, 6), (30, 34))


def test_found_missed_right_and_false():
    truth = _map(FIRST, SECOND)
    found = _map(((2, 8), (2, 8), (2, 4)), ((12, 16), (12, 16), (12, 16)))  # a third of the first; one elsewhere
    lesions = match_lesions("case", found, truth)
    kinds = [(x.kind, x.hit, pytest.approx(x.volume_ml)) for x in lesions]
    assert kinds == [("true", True, 4.32), ("true", False, 1.28), ("predicted", True, 1.44), ("predicted", False, 1.28)]
    assert lesions[0].score == pytest.approx(1.44)
    assert lesions[1].score == 0
    assert lesions[0].diameter_mm == pytest.approx(np.sqrt(10**2 + 25**2 + 10**2))


@pytest.mark.parametrize(("layers", "hit"), [(21, False), (22, True)])
def test_a_tenth_is_enough(layers, hit):
    truth, found = _map(FIRST), _map()
    found.labels[truth.labels == 2] = np.arange(216) < layers
    found.labels[:] *= 2
    true = match_lesions("case", found, truth)[0]
    assert true.hit is hit  # 216 voxels, a tenth are 21.6


def test_a_flood_finds_all_and_is_false():
    flood = LabelMap(np.full((20, 20, 40), 2, np.uint8), AFFINE)
    lesions = match_lesions("case", flood, _map(FIRST, SECOND))
    assert [x.hit for x in lesions] == [True, True, False]


def test_crumbs_are_no_lesions():
    crumb = _map(((0, 1), (0, 1), (0, 4)))
    assert match_lesions("case", crumb, _map()) == ()
    assert match_lesions("case", _map(), crumb) == ()
    assert score_lesions([()])["recall"] is None


def test_recall_precision_and_froc_by_hand():
    cases = [
        (_lesion("true", 3.0, True), _lesion("predicted", 3.0, True), _lesion("predicted", 2.0, False)),
        (_lesion("true", 1.0, True, 10.0), _lesion("predicted", 1.0, True, 10.0)),
        (_lesion("true", 0.0, False), _lesion("predicted", 0.5, False)),
        (),
    ]
    scores = score_lesions(cases)
    assert (scores["found"], scores["true"], scores["right"], scores["predicted"]) == (2, 3, 2, 4)
    assert scores["false_per_case"] == 0.5
    froc = scores["froc"]
    assert froc["false_per_case"] == [0, 0, 0.25, 0.25, 0.5]
    assert froc["recall"] == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert froc["recall_at_false_per_case"]["4"] == pytest.approx(2 / 3)
    groups = {g["group"]: (g["true"], g["recall"], g["predicted"]) for g in scores["by_diameter"]}
    assert groups == {"0 to 20 mm": (1, 1.0, 1), "20 to 40 mm": (2, 0.5, 3)}


def test_all_found_without_a_false_one():
    cases = [(_lesion("true", 3.0, True), _lesion("predicted", 3.0, True))] * 2
    assert score_lesions(cases)["froc"]["score"] == 1.0
    assert score_lesions(cases)["recall_interval"] == [1.0, 1.0]


def test_nothing_predicted_scores_zero():
    scores = score_lesions([(_lesion("true", 0.0, False),)])
    assert (scores["recall"], scores["precision"], scores["froc"]["score"]) == (0.0, None, 0.0)
