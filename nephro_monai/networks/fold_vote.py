"""The models of a cross-validation as one network: each has a vote (Zhou 2019, "Evaluation Methods")."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

__all__ = ["FoldVote"]


class FoldVote(nn.Module):
    """Fold models that vote; the majority (3 of the paper's 5) decides.

    A model votes for the larger of its two outputs, which holds its own decision threshold. The result has one
    probability: (votes for the second class + mean probability of the models) / (models + 1). It lies on the side of
    the majority, and among answers with the same votes it ranks by the mean.

    Args:
        build: Makes one fold model, for example a partial of `InceptionClassifier` or `PatientClassifier`.
        folds: Number of models, odd, so that there is no tie; the paper has five.
        own_inputs: Whether each model has an input of its own, (B, folds, ...), instead of one for all.

    Raises:
        ValueError: If `folds` is even or below 1.
    """

    def __init__(self, build: Callable[[], nn.Module], folds: int = 5, own_inputs: bool = False) -> None:
        super().__init__()
        if folds < 1 or folds % 2 == 0:
            raise ValueError(f"A vote needs an odd number of fold models, such as 5, got {folds}.")
        self.networks = nn.ModuleList(build() for _ in range(folds))
        self.own_inputs = own_inputs

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Lets the models vote.

        Args:
            inputs: (B, ...) as one model takes them, or (B, folds, ...) with `own_inputs`.

        Returns:
            (B, 2) logits; their softmax is the probability described above.
        """
        each = self.fold_logits(inputs)
        if each.shape[0] == 1:
            return each[0]
        probabilities = torch.softmax(each.float(), dim=2)[:, :, 1]
        votes = (probabilities >= 0.5).float().sum(dim=0)
        joint = (votes + probabilities.mean(dim=0)) / (each.shape[0] + 1)
        joint = joint.clamp(1e-6, 1.0 - 1e-6)
        return torch.stack([torch.log1p(-joint), torch.log(joint)], dim=1)

    def fold_logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """(folds, B, 2) logits of each model, with its decision threshold."""
        found: list[torch.Tensor] = []
        for index, network in enumerate(self.networks):
            found.append(network(inputs[:, index] if self.own_inputs else inputs))
        return torch.stack(found)

    @torch.jit.ignore
    def inputs_of(self, fold: int, inputs: torch.Tensor) -> torch.Tensor:
        """What one model sees of (B, ...) or (B, folds, ...) inputs."""
        return inputs[:, fold] if self.own_inputs else inputs

    @torch.jit.ignore
    def features(self, slices: torch.Tensor) -> torch.Tensor:
        """Features of slices by every image-level model, (B, folds, features)."""
        each = [network.features(self.inputs_of(k, slices)) for k, network in enumerate(self.networks)]  # type: ignore[operator]
        return torch.stack(each, dim=1)

    @torch.jit.ignore
    def thresholds(self) -> list[float]:
        """Decision threshold of each model."""
        return [float(network.threshold.value) for network in self.networks]  # type: ignore[union-attr, arg-type]
