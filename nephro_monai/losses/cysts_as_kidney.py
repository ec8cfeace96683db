"""A loss on labels that count cysts to the kidney, for networks that tell them apart."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from nephro_monai.constants import CYST

__all__ = ["CystsAsKidneyLoss"]


class CystsAsKidneyLoss(nn.Module):
    """Gives a loss the logits (B, 3, ...) whose softmax has the cysts' probability added to the kidney's.

    So labels like KiTS19's teach a network with classes for background, kidney, tumor and cyst without telling it that
    a cyst is none: `log(exp(kidney) + exp(cyst))` is the logit of both together. Fewer classes pass unchanged.

    Args:
        loss: Called with (logits, label).
    """

    def __init__(self, loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The loss of logits (B, classes, ...) on a label (B, 1, ...) with 0/1/2."""
        if logits.shape[1] > CYST:
            background, kidney, tumor, cyst = logits.unbind(1)
            logits = torch.stack([background, torch.logaddexp(kidney, cyst), tumor], dim=1)
        return self.loss(logits, label)
