"""A decision threshold as the last layer of a classifier, so that it travels with the weights."""

from __future__ import annotations

import math

import torch
from torch import nn

__all__ = ["DecisionThreshold"]

_MARGIN = 1e-4


class DecisionThreshold(nn.Module):
    """Moves the logits of two classes so that the second one wins exactly where its probability reaches a threshold.

    The order of the probabilities stays: the ROC curve is the same before and after. It starts at 0.5, which changes
    nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.tensor(0.5))

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        """(B, 2) logits to (B, 2) logits, of the second class less log(t / (1 - t))."""
        # No class-level annotation for the buffer: TorchScript cannot read it when it is a string.
        shift = torch.log(self.value / (1.0 - self.value))  # type: ignore
        return torch.stack([logits[:, 0], logits[:, 1] - shift], dim=1)

    @torch.jit.ignore
    def set(self, threshold: float) -> None:
        """Sets the probability of the second class from which it wins.

        Raises:
            ValueError: If it is not a probability.
        """
        if not (math.isfinite(threshold) and 0.0 <= threshold <= 1.0):
            raise ValueError(f"A decision threshold must be within 0..1, got {threshold}.")
        self.value.fill_(min(max(threshold, _MARGIN), 1.0 - _MARGIN))  # type: ignore[operator]
