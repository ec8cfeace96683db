"""The decision threshold as a layer."""

from __future__ import annotations

import pytest
import torch

from nephro_monai.networks.decision_threshold import DecisionThreshold


def test_it_changes_nothing_at_first() -> None:
    logits = torch.randn(5, 2)
    assert torch.equal(DecisionThreshold()(logits), logits)


@pytest.mark.parametrize("threshold", [0.03, 0.3, 0.5, 0.9])
def test_the_second_class_wins_from_the_threshold_on(threshold: float) -> None:
    layer = DecisionThreshold()
    layer.set(threshold)
    logits = torch.randn(1000, 2, dtype=torch.float64)
    moved = layer(logits)
    before, after = torch.softmax(logits, 1)[:, 1], torch.softmax(moved, 1)[:, 1]
    assert torch.equal(after >= 0.5, before >= float(layer.value))
    assert torch.equal(before.argsort(), after.argsort())


def test_it_travels_with_the_weights() -> None:
    layer, other = DecisionThreshold(), DecisionThreshold()
    layer.set(0.25)
    other.load_state_dict(layer.state_dict())
    assert float(other.value) == 0.25


@pytest.mark.parametrize("extreme", [0.0, 1.0])
def test_extremes_stay_finite(extreme: float) -> None:
    layer = DecisionThreshold()
    layer.set(extreme)
    assert torch.isfinite(layer(torch.zeros(1, 2))).all()


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_other_values_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match=r"within 0\.\.1"):
        DecisionThreshold().set(wrong)
