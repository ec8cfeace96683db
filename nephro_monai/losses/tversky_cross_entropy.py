"""Tversky loss with a cross-entropy beside it, so that a rare class gets going."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.losses import TverskyLoss
from torch import nn
from torch.nn import functional

__all__ = ["TverskyCELoss"]


class TverskyCELoss(nn.Module):
    """`L = L_Tversky + weight * L_CE`, over kidney and tumor and over all classes.

    The Tversky loss alone (Dahiya 2019; Salehi 2017, arXiv 1706.05721) gives a class whose probability is near 0
    everywhere hardly a gradient: a network that has once learned to say "no tumor" stays with it.

    Args:
        alpha: Weight of false positives.
        beta: Weight of false negatives.
        cross_entropy: Weight of the cross-entropy; 0 is the Tversky loss alone, as in the paper.
        label_weights: Of background, kidney and tumor in the cross-entropy; None for 1 each.

    Raises:
        ValueError: If a weight is negative.
    """

    label_weights: torch.Tensor | None

    def __init__(
        self,
        alpha: float = 0.3,
        beta: float = 0.7,
        cross_entropy: float = 1.0,
        label_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if min(alpha, beta, cross_entropy, *(label_weights or [0.0])) < 0:
            raise ValueError(f"Weights must not be negative, got {(alpha, beta, cross_entropy, label_weights)}.")
        self.tversky = TverskyLoss(
            include_background=False, to_onehot_y=True, softmax=True, alpha=alpha, beta=beta, batch=True
        )
        self.cross_entropy = cross_entropy
        weights = None if label_weights is None else torch.tensor(list(label_weights), dtype=torch.float32)
        self.register_buffer("label_weights", weights, persistent=False)

    def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The loss of a batch.

        Args:
            logits: (B, classes, *spatial).
            label: (B, 1, *spatial) with 0, 1, 2.
        """
        loss = self.tversky(logits, label)
        if self.cross_entropy:
            weights = None if self.label_weights is None else self.label_weights.to(logits)
            loss = loss + self.cross_entropy * functional.cross_entropy(logits, label[:, 0].long(), weights)
        return loss
