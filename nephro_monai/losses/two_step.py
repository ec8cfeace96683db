"""The loss of a segmentation network that carries the two-step head (Pan 2019, section IV)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional

__all__ = ["TwoStepLoss"]


class TwoStepLoss(nn.Module):
    """`L = L_ternary + weight * L_binary`: the network's own loss on the second step, cross-entropy on the first.

    So a V-Net or an ENet keeps the loss it is compared with, and only the head's first step is added (Pan 2019,
    equations 2 and 3, has cross-entropies for both).

    Args:
        ternary: Called with logits (B, classes, *spatial) and labels (B, 1, *spatial).
        weight: Of the first step's term.

    Raises:
        ValueError: If the weight is negative.
    """

    def __init__(self, ternary: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], weight: float = 1.0) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"The weight of the first step must not be negative, got {weight}.")
        self.ternary = ternary
        self.weight = weight

    def forward(self, outputs: torch.Tensor | Sequence[torch.Tensor | None], label: torch.Tensor) -> torch.Tensor:
        """The loss of a batch.

        Args:
            outputs: Logits of the second step alone, as validation has them, or ternary and binary logits in this
                order (`networks.two_step_head.MultiTaskOutput`).
            label: (B, 1, *spatial) with 0, 1, 2.

        Raises:
            ValueError: If the network has no two-step head.
        """
        if isinstance(outputs, torch.Tensor):
            return self.ternary(outputs.float(), label)
        ternary, binary = outputs[0], outputs[1]
        if ternary is None or binary is None:
            raise ValueError(
                "TwoStepLoss needs a network with a two-step head; wrap it in networks.two_step_head.TwoStepNetwork."
            )
        first = functional.cross_entropy(binary.float(), (label[:, 0] > 0).long())
        return self.ternary(ternary.float(), label) + self.weight * first
