"""What the colorization networks are trained towards, each in its paper's own formulation.

All start from the same tissue colors (`color_table.ColorTable`) and are called with gray slices (B, 1, H, W) in 0..1
and the share of each color group, (B, groups, h, w) over the same field of view.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from nephro_monai.networks.colorization_cic import ColorfulColorizer
from nephro_monai.networks.colorization_lrac import HypercolumnColorizer
from nephro_monai.networks.colorization_ltbc import LetThereBeColor
from nephro_monai.networks.hue_chroma_color import rgb_to_hue_chroma
from nephro_monai.networks.lab_color import lab_to_rgb, rgb_to_lab
from nephro_monai.training.color_table import ColorTable

__all__ = ["Colorizer", "HueChromaHistograms", "QuantizedColors", "RegressedColors", "color_objective"]

Colorizer = ColorfulColorizer | LetThereBeColor | HypercolumnColorizer


def color_objective(
    network: nn.Module, color_table: ColorTable, tissue_fractions: Sequence[float]
) -> QuantizedColors | RegressedColors | HueChromaHistograms:
    """The formulation of the network's own paper, with the paper's weights.

    Raises:
        ValueError: If no formulation belongs to the network.
    """
    if isinstance(network, ColorfulColorizer):
        return QuantizedColors(network, color_table, tissue_fractions)
    if isinstance(network, LetThereBeColor):
        return RegressedColors(network, color_table)
    if isinstance(network, HypercolumnColorizer):
        return HueChromaHistograms(network, color_table)
    raise ValueError(
        f"No color objective belongs to {type(network).__name__}; give the module one, or a ColorfulColorizer, "
        "LetThereBeColor or HypercolumnColorizer."
    )


class QuantizedColors(nn.Module):
    """Zhang's classification of quantized colors (Zhang 2016, section 2.2).

    Cross-entropy between the predicted distribution over quantized colors and the soft-encoded target, rare colors
    weighted up (class rebalancing). The target is formed at the network's output resolution: where tissues share such a
    pixel, it is the mixture of their encodings.

    Args:
        network: Its quantized colors stay fixed.
        color_table: Color of each tissue.
        tissue_fractions: Share of the training pixels per tissue id, for the rebalancing.
    """

    encoding: torch.Tensor
    group_weights: torch.Tensor

    def __init__(self, network: ColorfulColorizer, color_table: ColorTable, tissue_fractions: Sequence[float]) -> None:
        super().__init__()
        self._network = (network,)  # in a tuple: it belongs to the training module, not to its objective
        centers = 110.0 * network.model_out.weight.detach()[:, :, 0, 0].T.cpu()
        weights = color_table.group_weights(tissue_fractions, len(centers))
        self.register_buffer("encoding", color_table.soft_encoding(centers), persistent=False)
        self.register_buffer("group_weights", weights, persistent=False)

    def forward(self, gray: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        """Loss of gray slices (B, 1, H, W) with group shares (B, groups, h, w)."""
        logits = self._network[0].color_logits(gray)
        return self.cross_entropy(logits, functional.interpolate(maps, size=logits.shape[2:], mode="area"))

    def cross_entropy(self, logits: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        """Rebalanced cross-entropy of color logits (B, bins, h, w) against group shares (B, groups, h, w)."""
        with torch.autocast(logits.device.type, enabled=False):
            log_probabilities = torch.log_softmax(logits.float(), dim=1)
            # The target is linear in the shares: one product per group instead of one distribution per pixel.
            per_group = torch.einsum("bqhw,gq->bghw", log_probabilities, self.encoding)
            return -(shares * self.group_weights[:, None, None] * per_group).sum(1).mean()


class RegressedColors(nn.Module):
    """Iizuka's mean squared error of a and b, and a classification beside it (Iizuka 2016, section 3.5).

    The paper classifies scenes. CT slices have no scenes: here the side branch says of each color group whether the
    slice shows it (binary cross-entropy per group), which the global features can tell as well and colors depend on.

    Args:
        network: With as many side classes as the table has groups, "unchanged" included.
        color_table: Color of each tissue.
        class_weight: Of the classification; 1/300 in the paper.
        present: Share of the slice above which a group counts as shown.

    Raises:
        ValueError: If the numbers of classes and groups differ.
    """

    def __init__(
        self,
        network: LetThereBeColor,
        color_table: ColorTable,
        class_weight: float = 1.0 / 300.0,
        present: float = 0.002,
    ) -> None:
        super().__init__()
        if network.classes != len(color_table.names):
            raise ValueError(
                f"The network tells {network.classes} classes apart, the color table has {len(color_table.names)} "
                f"groups ({', '.join(color_table.names)}); set the network's classes to that number."
            )
        self._network = (network,)
        self._color_table = (color_table,)
        self.class_weight = class_weight
        self.present = present

    def forward(self, gray: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        """Loss of gray slices (B, 1, H, W) with group shares (B, groups, h, w)."""
        colors, scores = self._network[0].chrominance(gray)
        shares = functional.interpolate(maps, size=colors.shape[2:], mode="area")
        with torch.autocast(gray.device.type, enabled=False):
            target = (self._color_table[0].ab_maps(shares) / 100.0 + 1.0) / 2.0
            shown = (shares.mean(dim=(2, 3)) > self.present).float()
            regression = functional.mse_loss(colors.float(), target)
            return regression + self.class_weight * functional.binary_cross_entropy_with_logits(scores.float(), shown)


class HueChromaHistograms(nn.Module):
    """Larsson's divergence from histograms of hue and chroma, at a few cells per slice (Larsson 2016, section 3.2).

    The target of a cell are the histograms of the pixels in it, each colored by its tissue at its own lightness. Hue
    counts in proportion to chroma (without color it means nothing), chroma less where the gray value is near black or
    white, where colors cannot be strong.

    Args:
        network: Its `bins` are the histograms'.
        color_table: Color of each tissue.
        cells: Drawn at random per slice; 128 in the authors' training.
        hue_weight: Of hue against chroma; 5 in the paper.
    """

    def __init__(
        self, network: HypercolumnColorizer, color_table: ColorTable, cells: int = 128, hue_weight: float = 5.0
    ) -> None:
        super().__init__()
        self._network = (network,)
        self._color_table = (color_table,)
        self.cells = cells
        self.hue_weight = hue_weight

    def forward(self, gray: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        """Loss of gray slices (B, 1, H, W) with group shares (B, groups, h, w)."""
        count = (gray.shape[2] // 4) * (gray.shape[3] // 4)
        cells = torch.randint(count, (len(gray), self.cells), device=gray.device)
        hue_scores, chroma_scores = self._network[0].sampled_logits(gray, cells)
        with torch.autocast(gray.device.type, enabled=False):
            return self.divergence(hue_scores.float(), chroma_scores.float(), *self._targets(gray, maps, cells))

    def divergence(
        self, hue_scores: torch.Tensor, chroma_scores: torch.Tensor, hue_chroma: torch.Tensor, lightness: torch.Tensor
    ) -> torch.Tensor:
        """Weighted Kullback-Leibler divergence.

        Args:
            hue_scores: (B, bins, N) logits.
            chroma_scores: (B, bins, N) logits.
            hue_chroma: (B, 2, pixels, N) in 0..1, of the pixels of each cell.
            lightness: (B, N) in 0..1, of each cell.
        """
        bins = hue_scores.shape[1]
        hue, chroma = (_histograms(part, bins) for part in hue_chroma.unbind(dim=1))
        per_hue = functional.kl_div(hue_scores.log_softmax(dim=1), hue, reduction="none").sum(dim=1)
        per_chroma = functional.kl_div(chroma_scores.log_softmax(dim=1), chroma, reduction="none").sum(dim=1)
        possible = 3.0 * torch.minimum(lightness, 1.0 - lightness).clamp(0.0, 1.0 / 3.0)
        return (self.hue_weight * hue_chroma[:, 1].mean(dim=1) * per_hue + possible * per_chroma).mean()

    def _targets(
        self, gray: torch.Tensor, maps: torch.Tensor, cells: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Hue and chroma (B, 2, 16, N) of the pixels of the chosen cells, and the cells' lightness (B, N)."""
        maps = functional.interpolate(maps, size=gray.shape[2:], mode="bilinear", align_corners=False)
        both = torch.cat([gray.float(), self._color_table[0].ab_maps(maps)], dim=1)
        patches = functional.unfold(both, kernel_size=4, stride=4).unflatten(1, (3, 16))
        chosen = patches.gather(3, cells[:, None, None].expand(-1, 3, 16, -1))
        pixels, ab = chosen[:, :1], chosen[:, 1:]
        lightness = rgb_to_lab(pixels.expand(-1, 3, -1, -1))[:, :1]
        return rgb_to_hue_chroma(lab_to_rgb(torch.cat([lightness, ab], dim=1))), pixels[:, 0].mean(dim=1)


def _histograms(values: torch.Tensor, bins: int) -> torch.Tensor:
    """(B, pixels, N) in 0..1 to the share of each bin (B, bins, N)."""
    index = (values * bins).long().clamp(max=bins - 1)
    shares = torch.full_like(values, 1.0 / values.shape[1])
    empty = torch.zeros(len(values), bins, values.shape[2], device=values.device)
    return empty.scatter_add(1, index, shares)
