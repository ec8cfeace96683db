"""Matching of boxes, recall and precision, 3-D recall."""

from __future__ import annotations

import math

import pytest
import torch

from nephro_monai.metrics.detection import box_coverage, detection_recall_precision, kidney_recall, match_counts
from nephro_monai.structures import Box

TRUTH = torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 40.0, 40.0]])


def test_each_true_box_is_found_once():
    boxes = torch.tensor([[0.0, 0.0, 10.0, 9.0], [0.0, 0.0, 10.0, 10.0], [60.0, 60.0, 70.0, 70.0]])
    assert match_counts(boxes, torch.tensor([0.9, 0.8, 0.7]), TRUTH) == (1, 2, 1)


def test_better_score_takes_the_box_first():
    # The better detection overlaps both; it takes the one it fits best, the other detection gets the rest.
    truth = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 14.0]])
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 13.0]])
    assert match_counts(boxes, torch.tensor([0.5, 0.9]), truth) == (2, 0, 0)


@pytest.mark.parametrize(("height", "hits"), [(5.0, 1), (4.9, 0)])
def test_threshold_is_intersection_over_union(height, hits):
    boxes = torch.tensor([[0.0, 0.0, 10.0, height]])
    assert match_counts(boxes, torch.ones(1), TRUTH[:1])[0] == hits


def test_nothing_found_and_nothing_there():
    none = torch.zeros(0, 4)
    assert match_counts(none, torch.zeros(0), TRUTH) == (0, 0, 2)
    assert match_counts(TRUTH, torch.ones(2), none) == (0, 2, 0)
    assert match_counts(none, torch.zeros(0), none) == (0, 0, 0)


def test_recall_and_precision():
    recall, precision = detection_recall_precision([(2, 1, 0), (1, 2, 1)])
    assert (recall, precision) == (3 / 4, 3 / 6)
    assert all(math.isnan(value) for value in detection_recall_precision([(0, 0, 0)]))


def test_coverage_of_a_kidney_box():
    truth = Box(0, 0, 0, 10, 10, 10)
    assert box_coverage(Box(0, 0, 5, 20, 20, 20), truth) == 0.5
    assert box_coverage(Box(10, 0, 0, 20, 10, 10), truth) == 0.0
    assert kidney_recall([Box(0, 0, 1, 10, 10, 10)], [truth, Box(50, 0, 0, 60, 10, 10)]) == (1, 2)
    assert kidney_recall([], [truth]) == (0, 1)
