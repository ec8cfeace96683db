"""Dice against hand-counted overlaps and MONAI's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.metrics import compute_dice

from nephro_monai.metrics.dice import dice, dice_from_counts, kits19_scores, label_counts


def test_hand_counted_scores():
    truth = np.array([[0, 1, 1, 2], [0, 0, 2, 2]])
    prediction = np.array([[0, 1, 2, 2], [1, 0, 2, 0]])
    scores = kits19_scores(prediction, truth)
    assert scores.kidney == pytest.approx(2 * 4 / (5 + 5))
    assert scores.tumor == pytest.approx(2 * 2 / (3 + 3))
    assert scores.composite == pytest.approx((scores.kidney + scores.tumor) / 2)


def test_empty_regions_follow_kits23():
    empty, kidney = np.zeros((3, 3), np.uint8), np.ones((3, 3), np.uint8)
    assert kits19_scores(empty, empty).tumor == 1.0
    assert kits19_scores(kidney, kidney).tumor == 1.0  # no tumor in either
    assert kits19_scores(empty, kidney).kidney == 0.0
    assert kits19_scores(np.full((3, 3), 2), kidney).tumor == 0.0
    assert dice(empty > 0, empty > 0) == 1.0
    assert dice(empty > 0, kidney > 0) == 0.0


def test_unknown_labels_are_background():
    truth = np.array([1, 1, 2, 0])
    assert kits19_scores(np.array([1, 255, 2, 3]), truth).kidney == pytest.approx(2 * 2 / (2 + 3))


def test_counts_are_rows_by_truth_in_any_memory_order():
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 3, (2, 7, 6, 5)).astype(np.uint8)
    expected = [[int(((truth == t) & (prediction == p)).sum()) for p in range(3)] for t in range(3)]
    assert label_counts(prediction, truth).tolist() == expected
    assert label_counts(prediction, np.asfortranarray(truth)).tolist() == expected
    assert label_counts(prediction[::-1], truth[::-1]).tolist() == expected


def _as_the_script_has_it(prediction: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """The challenge's formula written out, with KiTS23's rule where it divides by zero."""
    scores = []
    for level in (0, 1):
        a, b = prediction > level, truth > level
        total = a.sum() + b.sum()
        scores.append(2 * (a & b).sum() / total if total else 1.0)
    return scores[0], scores[1]


@pytest.mark.parametrize("seed", range(10))
def test_equals_the_challenge_on_random_masks(seed: int):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet([1, 1, 1], 2)
    truth, prediction = (rng.choice(3, (9, 17, 13), p=p).astype(np.uint8) for p in shares)
    scores = kits19_scores(prediction, truth)
    assert (scores.kidney, scores.tumor) == pytest.approx(_as_the_script_has_it(prediction, truth), abs=1e-12)


@pytest.mark.parametrize("truth", range(3))
@pytest.mark.parametrize("prediction", range(3))
@pytest.mark.parametrize("one_voxel", [False, True])
def test_equals_the_challenge_on_degenerate_masks(truth: int, prediction: int, one_voxel: bool):
    a, b = np.full((3, 4, 5), prediction, np.uint8), np.full((3, 4, 5), truth, np.uint8)
    if one_voxel:
        a[1:], b[:2] = 0, 0
    scores = kits19_scores(a, b)
    assert (scores.kidney, scores.tumor) == pytest.approx(_as_the_script_has_it(a, b), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_monai(seed: int):
    rng = np.random.default_rng(seed)
    truth, prediction = rng.integers(0, 3, (2, 12, 11, 10))
    masks = [[labels > 0, labels == 2] for labels in (prediction, truth)]
    theirs = compute_dice(*(torch.tensor(np.stack(pair))[None] for pair in masks), ignore_empty=False)[0].tolist()
    ours = kits19_scores(prediction, truth)
    assert [ours.kidney, ours.tumor] == pytest.approx(theirs, abs=1e-6)
    assert dice(masks[0][0], masks[1][0]) == pytest.approx(ours.kidney)


def test_dice_of_chosen_labels():
    counts = np.array([[10, 0, 1], [2, 5, 0], [0, 1, 3]])
    assert dice_from_counts(counts, (1,)) == pytest.approx(2 * 5 / (7 + 6))


@pytest.mark.parametrize("function", [dice, kits19_scores, label_counts])
def test_shapes_must_agree(function):
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(3, 2\)"):
        function(np.zeros((2, 3), bool), np.zeros((3, 2), bool))
