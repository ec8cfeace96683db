"""A trained support vector machine as a torch module, so that its weights are tensors and not a pickle."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

__all__ = ["KernelSVM"]

_SIZES = ("mean", "scale", "supports", "coefficients")


class KernelSVM(nn.Module):
    """Decides between two classes with a radial basis function kernel.

    `d(x) = sum_i c_i exp(-gamma |z - s_i|^2) + b` with `z = (x - mean) / scale`; the second class where d > 0. The
    logits are 0 and `slope * d`, so the decision is the machine's own and the probability rises with its margin.
    Loading a `state_dict` sets the number of features and of support vectors.

    Args:
        features: Values of a sample.
        supports: Support vectors.
    """

    mean: torch.Tensor
    scale: torch.Tensor
    supports: torch.Tensor
    coefficients: torch.Tensor
    intercept: torch.Tensor
    gamma: torch.Tensor
    slope: torch.Tensor

    def __init__(self, features: int = 1, supports: int = 1) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("supports", torch.zeros(supports, features))
        self.register_buffer("coefficients", torch.zeros(supports))
        for name, value in (("intercept", 0.0), ("gamma", 1.0), ("slope", 1.0)):
            self.register_buffer(name, torch.tensor(value))

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """(B, features) to logits (B, 2) of the first and the second class."""
        standard = (samples.to(self.mean) - self.mean) / self.scale
        kernel = torch.exp(-self.gamma * torch.cdist(standard, self.supports) ** 2)
        distance = self.slope * ((kernel * self.coefficients).sum(dim=1) + self.intercept)
        return torch.stack([torch.zeros_like(distance), distance], dim=1)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name in _SIZES:
            given = state_dict.get(prefix + name)
            if given is not None:
                setattr(self, name, torch.empty(given.shape, device=self.mean.device))
        super()._load_from_state_dict(state_dict, prefix, *args)
