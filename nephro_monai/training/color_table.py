"""Which tissue gets which color, and what that means for Zhang's quantized colors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

__all__ = ["ColorTable"]


class ColorTable(nn.Module):
    """Groups of tissue ids, one Lab color each; tissues of no group stay as they are (ab = 0).

    A color says what tissue a pixel is made of, never what disease: all parts of all tumors share one group.

    Args:
        groups: For example `{"kidney": {"ab": [35, 68], "tissues": [9, 10]}}`, a and b in CIE Lab units.

    Attributes:
        names: "unchanged" and the names of the groups, in order.

    Raises:
        ValueError: If a tissue is in two groups or no byte, or a color has not two values.
    """

    group_of_tissue: torch.Tensor
    ab: torch.Tensor

    def __init__(self, groups: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__()
        self.names = ("unchanged", *groups)
        group_of_tissue = torch.zeros(256, dtype=torch.long)
        colors = [(0.0, 0.0)]
        for index, (name, group) in enumerate(groups.items(), start=1):
            ab: Sequence[float] = group["ab"]
            if len(ab) != 2:
                raise ValueError(f"The color of '{name}' needs two values a and b, got {list(ab)}.")
            colors.append((float(ab[0]), float(ab[1])))
            for tissue in group["tissues"]:
                if not 0 <= tissue <= 255 or group_of_tissue[tissue] != 0:
                    raise ValueError(f"Tissue {tissue} of '{name}' must be in 0..255 and in one group only.")
                group_of_tissue[tissue] = index
        self.register_buffer("group_of_tissue", group_of_tissue, persistent=False)
        self.register_buffer("ab", torch.tensor(colors), persistent=False)

    def group_maps(self, tissues: torch.Tensor) -> torch.Tensor:
        """(B, 1, H, W) tissue ids to (B, groups, H, W) float, 1 where a pixel is of the group."""
        groups = self.group_of_tissue[tissues[:, 0].long()]
        return functional.one_hot(groups, len(self.names)).permute(0, 3, 1, 2).float()

    def ab_maps(self, group_maps: torch.Tensor) -> torch.Tensor:
        """(B, groups, H, W) shares to (B, 2, H, W) ab colors, mixed where groups share a pixel."""
        return torch.einsum("bghw,gc->bchw", group_maps, self.ab)

    def soft_encoding(self, bin_centers: torch.Tensor, neighbors: int = 5, sigma: float = 5.0) -> torch.Tensor:
        """Each group's color as a distribution over quantized colors (Zhang 2016, section 2.2).

        Args:
            bin_centers: (bins, 2) ab.
            neighbors: Nearest quantized colors that share the mass.
            sigma: Of the Gaussian that weights them, in ab units.

        Returns:
            (groups, bins), rows sum to 1.
        """
        distance, index = torch.cdist(self.ab, bin_centers).topk(neighbors, dim=1, largest=False)
        weight = torch.softmax(-(distance**2) / (2 * sigma**2), dim=1)
        return torch.zeros(len(self.ab), len(bin_centers), device=self.ab.device).scatter(1, index, weight)

    def group_weights(self, tissue_fractions: Sequence[float], bins: int, uniform_share: float = 0.5) -> torch.Tensor:
        """Class rebalancing (Zhang 2016, equation 4): rare colors count more.

        The probability of a group's color is mixed with the uniform distribution over the quantized colors and
        inverted; weights are scaled so that their mean over the training pixels is 1.

        Args:
            tissue_fractions: Share of the training pixels per tissue id, 256 values.
            bins: Number of quantized colors.
            uniform_share: Lambda of the paper.

        Returns:
            (groups,) weights.
        """
        fractions = torch.tensor(tissue_fractions, device=self.ab.device)
        share = torch.zeros(len(self.names), device=self.ab.device).index_add(0, self.group_of_tissue, fractions)
        weight = 1.0 / ((1.0 - uniform_share) * share + uniform_share / bins)
        return weight / (weight * share).sum()
