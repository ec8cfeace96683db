"""Patient-level models on the features of all tumor slices (Zhou 2019, "Patient-Level Model", figure 2)."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import nn

from nephro_monai.networks.decision_threshold import DecisionThreshold

__all__ = ["Aggregation", "PatientClassifier", "feature_sequence"]

Aggregation = Literal["max", "gru"]


def feature_sequence(features: torch.Tensor) -> torch.Tensor:
    """The features of a patient's slices, as `PatientClassifier` takes them.

    Args:
        features: (N, ..., F), one row per slice in the order of the slices.

    Returns:
        (..., F + 1, N); the last row is 1. Sequences of different length are padded with zeros at the end, which also
        marks the padding.
    """
    ones = torch.ones((*features.shape[:-1], 1), dtype=features.dtype, device=features.device)
    return torch.cat([features, ones], dim=-1).movedim(0, -1)


class PatientClassifier(nn.Module):
    """Benign or malignant from the features of N slices, N differing from patient to patient.

    "max" is the paper's FC model: the maximum over the slices, a dense layer, two output nodes; the order of the slices
    does not count. "gru" is its GRU model: two GRU layers over the slices in order, two output nodes on the last state.

    Args:
        features: Features per slice, 1024 in the paper.
        hidden: Neurons of the dense layer (1024 in the paper), or of each GRU layer (the paper does not say).
        aggregation: "max" or "gru".
        dropout: Probability on the features, the same ones in all slices of a patient; none in the paper.
        classes: Number of outputs.

    Raises:
        ValueError: If the aggregation is unknown.
    """

    def __init__(
        self,
        features: int = 1024,
        hidden: int = 1024,
        aggregation: Aggregation = "max",
        dropout: float = 0.0,
        classes: int = 2,
    ) -> None:
        super().__init__()
        if aggregation not in get_args(Aggregation):
            raise ValueError(f"aggregation is one of {', '.join(get_args(Aggregation))}, got {aggregation!r}.")
        self.channels = features
        self.dropout = nn.Dropout1d(dropout)  # whole rows: a feature is dropped for all slices
        self.aggregate = _LargestOverSlices(features, hidden) if aggregation == "max" else _LastState(features, hidden)
        self.head = nn.Linear(hidden, classes)
        self.threshold = DecisionThreshold()

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        """Scores the classes.

        Args:
            sequence: (B, features + 1, N) from `feature_sequence`, inferior slices first, padded with zeros at the end.

        Returns:
            (B, classes) logits, moved by the decision threshold: the larger one is the answer.

        Raises:
            ValueError: If the number of features is another, or there is no slice.
        """
        return self.threshold(self.logits(sequence))

    def logits(self, sequence: torch.Tensor) -> torch.Tensor:
        """(B, classes) logits as trained, before the decision threshold."""
        if sequence.dim() != 3 or sequence.shape[1] != self.channels + 1 or sequence.shape[2] < 1:
            raise ValueError(
                f"Sequences must be (B, {self.channels + 1}, N) with at least one slice: the features and a row of "
                f"ones, zero where padded; got {sequence.shape}."
            )
        present = sequence[:, -1] > 0.5
        return self.head(self.aggregate(self.dropout(sequence[:, :-1]), present))


class _LargestOverSlices(nn.Module):
    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.dense = nn.Linear(features, hidden)

    def forward(self, features: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """(B, F, N) features and (B, N) bool to (B, hidden)."""
        # In padding, the smallest feature of all: it never is a maximum of its own.
        return torch.relu(self.dense(torch.where(present[:, None], features, features.min()).amax(dim=2)))


class _LastState(nn.Module):
    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.recurrent = nn.GRU(features, hidden, num_layers=2, batch_first=True)

    def forward(self, features: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """(B, F, N) features and (B, N) bool to (B, hidden)."""
        states, _ = self.recurrent(features.transpose(1, 2))
        # Padding stands at the end, so the state after the last slice has not seen it.
        last = (present.long().sum(dim=1) - 1).clamp(min=0)
        return states[torch.arange(states.shape[0], device=states.device), last]
