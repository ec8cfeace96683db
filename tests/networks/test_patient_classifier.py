"""Patient-level models: the paper's layers, padding, order."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nephro_monai.networks.patient_classifier import PatientClassifier, feature_sequence


def _network(aggregation: str) -> PatientClassifier:
    torch.manual_seed(0)
    return PatientClassifier(features=6, hidden=5, aggregation=aggregation).eval()


def _padded(sequence: torch.Tensor, length: int) -> torch.Tensor:
    return nn.functional.pad(sequence, (0, length - sequence.shape[-1]))


def test_a_sequence_has_a_row_of_ones() -> None:
    features = torch.randn(4, 3, 6)
    sequence = feature_sequence(features)
    assert sequence.shape == (3, 7, 4)
    assert torch.equal(sequence[1, :6, 2], features[2, 1])
    assert (sequence[:, 6] == 1).all()


def test_the_fc_model_by_hand() -> None:
    network, features = _network("max"), torch.randn(4, 6)
    hidden = torch.relu(network.aggregate.dense(features.max(dim=0).values))
    torch.testing.assert_close(network(feature_sequence(features)[None])[0], network.head(hidden))


def test_the_gru_model_by_hand() -> None:
    network, features = _network("gru"), torch.randn(4, 6)
    assert network.aggregate.recurrent.num_layers == 2
    _, last = network.aggregate.recurrent(features[None])
    torch.testing.assert_close(network(feature_sequence(features)[None])[0], network.head(last[-1, 0]))


def test_the_papers_sizes() -> None:
    with torch.device("meta"):
        network = PatientClassifier()
    assert network.aggregate.dense.weight.shape == (1024, 1024)
    assert network.head.weight.shape == (2, 1024)


@pytest.mark.parametrize("aggregation", ["max", "gru"])
def test_padding_changes_nothing(aggregation: str) -> None:
    network = _network(aggregation)
    short, long = (feature_sequence(torch.randn(n, 6) - 3) for n in (2, 5))  # below zero: zeros would win a maximum
    alone = torch.cat([network(short[None]), network(long[None])])
    torch.testing.assert_close(network(torch.stack([_padded(short, 8), _padded(long, 8)])), alone)


def test_only_the_gru_model_sees_the_order() -> None:
    sequence = feature_sequence(torch.randn(5, 6))[None]
    turned = sequence.flip(2)
    torch.testing.assert_close(_network("max")(sequence), _network("max")(turned))
    assert not torch.allclose(_network("gru")(sequence), _network("gru")(turned))


@pytest.mark.parametrize("aggregation", ["max", "gru"])
def test_gradients_reach_every_parameter(aggregation: str) -> None:
    network = _network(aggregation)
    network(feature_sequence(torch.rand(3, 4, 6))).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("aggregation", ["max", "gru"])
@pytest.mark.filterwarnings("ignore")
def test_can_be_scripted(aggregation: str) -> None:
    network, sequence = _network(aggregation), feature_sequence(torch.rand(3, 4, 6))
    torch.testing.assert_close(torch.jit.script(network)(sequence), network(sequence))


def test_dropout_drops_a_feature_in_all_slices() -> None:
    network = PatientClassifier(features=50, hidden=5, dropout=0.5).train()
    seen = []
    network.aggregate.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    network(feature_sequence(torch.ones(4, 1, 50)))
    kept = seen[0][0] > 0
    assert torch.equal(kept.any(dim=1), kept.all(dim=1))
    assert 5 < int(kept[:, 0].sum()) < 45


@pytest.mark.parametrize("shape", [(1, 6, 4), (1, 7, 0), (7, 4)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be \(B, 7, N\)"):
        _network("max")(torch.zeros(shape))


def test_unknown_aggregations_are_refused() -> None:
    with pytest.raises(ValueError, match="one of max, gru, got 'mean'"):
        PatientClassifier(aggregation="mean")  # type: ignore[arg-type]
