"""The sum of cross-entropies that a network with several heads is trained with (Pan 2019, section II-D)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

__all__ = ["MultiTaskLoss"]

_UNKNOWN = -1


class MultiTaskLoss(nn.Module):
    """`L = L_binary + L_ternary + L_classification`, each a mean cross-entropy (Pan 2019, equations 2 to 4).

    Terms of heads that a network does not have are left out: with `binary` 0 it is the paper's "ternary loss", for
    U-Net and PSPNet the ternary term alone, for a slice classifier the classification alone.

    Args:
        binary: Weight of the term for kidney with tumor against background.
        ternary: Weight of the term for background, kidney and tumor.
        classification: Weight of the term for the slice's class; 1 each in the paper.
        label_weights: Weight of background, kidney and tumor pixels in the ternary term; None for 1 each.
        class_weights: Weight of the slice classes; None for 1 each.
        label_smoothing: Of the classification.

    Raises:
        ValueError: If a weight is negative or all terms have weight 0.
    """

    label_weights: torch.Tensor | None
    class_weights: torch.Tensor | None

    def __init__(
        self,
        binary: float = 1.0,
        ternary: float = 1.0,
        classification: float = 1.0,
        label_weights: Sequence[float] | None = None,
        class_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        if min(binary, ternary, classification) < 0 or not any((binary, ternary, classification)):
            raise ValueError(
                "The weights of the terms must not be negative and not all 0, got "
                f"binary {binary}, ternary {ternary}, classification {classification}."
            )
        self.weights = {"binary": binary, "ternary": ternary, "classification": classification}
        self.label_smoothing = label_smoothing
        self.register_buffer("label_weights", _tensor(label_weights), persistent=False)
        self.register_buffer("class_weights", _tensor(class_weights), persistent=False)

    def forward(
        self,
        logits: Sequence[torch.Tensor | None],
        label: torch.Tensor | None = None,
        slice_class: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """The terms and their weighted sum.

        Args:
            logits: Ternary (B, 3, *spatial), binary (B, 2, *spatial) and class logits (B, classes), in this order
                (`networks.two_step_head.MultiTaskOutput`); None where a head is missing.
            label: (B, 1, *spatial) with 0, 1, 2; needed for the first two terms.
            slice_class: (B) class indices, -1 where the class is not known; needed for the third.

        Returns:
            The terms that apply by name, unweighted, and their weighted sum as "loss".

        Raises:
            ValueError: If no term applies.
        """
        ternary, binary, classes = logits
        terms: dict[str, torch.Tensor] = {}
        if ternary is not None and label is not None and self.weights["ternary"]:
            weight = _like(self.label_weights, ternary)
            terms["ternary"] = functional.cross_entropy(ternary.float(), label[:, 0].long(), weight)
        if binary is not None and label is not None and self.weights["binary"]:
            terms["binary"] = functional.cross_entropy(binary.float(), (label[:, 0] > 0).long())
        if classes is not None and slice_class is not None and self.weights["classification"]:
            terms["classification"] = self._classification(classes.float(), slice_class)
        if not terms:
            raise ValueError(
                "No term of the loss applies: the network's outputs, the batch's labels and the weights "
                f"{self.weights} have nothing in common."
            )
        total = torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()
        return {**terms, "loss": total}

    def _classification(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Mean over the slices of known class; 0 where there is none."""
        known = target != _UNKNOWN
        if not known.any():
            return logits.sum() * 0.0
        weight = _like(self.class_weights, logits)
        return functional.cross_entropy(logits[known], target[known], weight, label_smoothing=self.label_smoothing)


def _tensor(values: Sequence[float] | None) -> torch.Tensor | None:
    return None if values is None else torch.tensor(list(values), dtype=torch.float32)


def _like(weights: torch.Tensor | None, logits: torch.Tensor) -> torch.Tensor | None:
    return None if weights is None else weights.to(logits.device)
