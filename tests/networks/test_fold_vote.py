"""The vote of fold models, by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nephro_monai.networks.fold_vote import FoldVote
from nephro_monai.networks.inception import InceptionClassifier
from nephro_monai.networks.patient_classifier import PatientClassifier, feature_sequence


class _Fixed(nn.Module):
    """Says one probability of the second class, whatever comes."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.logit = float(torch.logit(torch.tensor(probability, dtype=torch.float64)))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.tensor([[0.0, self.logit]]).expand(inputs.shape[0], 2)


def _vote(probabilities: list[float]) -> float:
    models = iter([_Fixed(p) for p in probabilities])
    logits = FoldVote(lambda: next(models), folds=len(probabilities))(torch.zeros(1, 3))
    return float(torch.softmax(logits, 1)[0, 1])


@pytest.mark.parametrize(
    ("probabilities", "malignant"),
    [
        ([0.9, 0.9, 0.9, 0.9, 0.9], True),
        ([0.51, 0.51, 0.51, 0.01, 0.01], True),  # 3 of 5, although the mean is 0.31
        ([0.99, 0.99, 0.4, 0.4, 0.4], False),  # 2 of 5, although the mean is 0.64
        ([0.5, 0.5, 0.5, 0.0001, 0.0001], True),  # the threshold itself counts
        ([0.1, 0.1, 0.1, 0.1, 0.1], False),
    ],
)
def test_three_of_five_decide(probabilities: list[float], malignant: bool) -> None:
    found = _vote(probabilities)
    assert (found >= 0.5) is malignant
    votes, mean = sum(p >= 0.5 for p in probabilities), sum(probabilities) / 5
    assert found == pytest.approx((votes + mean) / 6, abs=1e-5)


def test_one_model_is_itself() -> None:
    assert _vote([0.73]) == pytest.approx(0.73)


@pytest.mark.parametrize("folds", [0, 2, 4])
def test_an_even_number_could_tie(folds: int) -> None:
    with pytest.raises(ValueError, match="odd number"):
        FoldVote(lambda: _Fixed(0.5), folds)


def test_own_inputs() -> None:
    torch.manual_seed(0)
    vote = FoldVote(lambda: nn.Linear(4, 2), folds=3, own_inputs=True)
    inputs = torch.randn(5, 3, 4)
    expected = torch.stack([network(inputs[:, k]) for k, network in enumerate(vote.networks)])
    assert torch.equal(vote.fold_logits(inputs), expected)
    assert not torch.equal(expected[0], expected[1])  # models start differently


def test_features_of_every_model() -> None:
    torch.manual_seed(0)
    vote = FoldVote(lambda: InceptionClassifier(1 / 16, features=6), folds=3).eval()
    slices = torch.rand(2, 3, 75, 75)
    features = vote.features(slices)
    assert features.shape == (2, 3, 6)
    assert torch.equal(features[:, 2], vote.networks[2].features(slices))
    assert vote.thresholds() == [0.5, 0.5, 0.5]


@pytest.mark.filterwarnings("ignore")
def test_can_be_scripted() -> None:
    vote = FoldVote(lambda: PatientClassifier(features=4, hidden=3), folds=3, own_inputs=True).eval()
    inputs = feature_sequence(torch.rand(2, 3, 4))[None]
    torch.testing.assert_close(torch.jit.script(vote)(inputs), vote(inputs))
