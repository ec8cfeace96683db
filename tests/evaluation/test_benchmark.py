"""The benchmark of the evaluation itself, on small label maps."""

from __future__ import annotations

import pytest

from nephro_monai.evaluation.benchmark import _pair, benchmark_evaluation
from nephro_monai.metrics.dice import kits19_scores


def test_it_compares_what_it_says():
    cost = benchmark_evaluation(8, (24, 64, 64), workers=2)
    assert cost.cases == 8
    assert cost.seconds > 0
    assert 0 < cost.peak_gib < 8


def test_pairs_are_alike_but_not_equal():
    truth, found = _pair(0, (50, 128, 128))
    scores = kits19_scores(found, truth)
    assert 0.8 < scores.kidney < 1
    assert 0.5 < scores.tumor < 1


def test_impossible_sizes():
    with pytest.raises(ValueError, match="at least one case"):
        benchmark_evaluation(0)
