"""The pyramid parsing module (Pan 2019, section II-B) and the PSPNet that is made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from nephro_monai.networks.dilated_resnet import DilatedResNet
from nephro_monai.networks.two_step_head import resized_like

__all__ = ["PSPNet", "PyramidParsing"]


class PyramidParsing(nn.Module):
    """Looks at a feature map at several sizes and puts all views side by side.

    Each branch averages the map down by its ratio, convolves (width 1, batch norm, ReLU) and interpolates back; the
    map itself is a direct shortcut. The module's output has `channels` channels.

    Args:
        in_channels: Channels of the feature map.
        ratios: By how much each branch shrinks the map: 2, 4, 8 in the paper.
        branch_channels: Channels of a branch; None for `in_channels` shared among the branches, as PSPNet does.

    Raises:
        ValueError: If a ratio is below 2, or there is none.
    """

    def __init__(self, in_channels: int, ratios: Sequence[int] = (2, 4, 8), branch_channels: int | None = None) -> None:
        super().__init__()
        if not ratios or min(ratios) < 2:
            raise ValueError(f"The pyramid needs ratios of at least 2, such as 2, 4, 8; got {list(ratios)}.")
        width = branch_channels or max(1, math.ceil(in_channels / len(ratios)))
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.AvgPool2d(ratio, ceil_mode=True, count_include_pad=False),
                nn.Conv2d(in_channels, width, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            )
            for ratio in ratios
        )
        self.channels = in_channels + width * len(ratios)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) to (B, channels, H, W), the shortcut first."""
        views = [features]
        for branch in self.branches:
            views.append(
                functional.interpolate(branch(features), size=features.shape[2:], mode="bilinear", align_corners=False)
            )
        return torch.cat(views, dim=1)


class PSPNet(nn.Module):
    """Backbone, pyramid and one classifier: SCNet's segmentation baseline.

    As Zhao 2017 (arXiv 1612.01105) has it, with this paper's backbone and ratios: a 3-wide convolution with batch norm,
    ReLU and dropout after the pyramid, then the classifier; no auxiliary loss.

    Args:
        in_channels: Contrast phases.
        classes: Classes, background included.
        encoder: Arguments of `DilatedResNet` but `in_channels`; ResNet-50 by default.
        ratios: Of the pyramid.
        features: Channels before the classifier.
        dropout: Of channels, before the classifier.
    """

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 3,
        encoder: Mapping[str, Any] | None = None,
        ratios: Sequence[int] = (2, 4, 8),
        features: int = 128,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.encoder = DilatedResNet(in_channels=in_channels, **(encoder or {}))
        self.pyramid = PyramidParsing(self.encoder.channels, ratios)
        self.classifier = nn.Sequential(
            nn.Conv2d(self.pyramid.channels, features, 3, padding=1, bias=False),
            nn.BatchNorm2d(features),
            nn.ReLU(inplace=True),
            nn.Dropout2d(dropout),
            nn.Conv2d(features, classes, 1),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (B, classes, H, W) of slices (B, in_channels, H, W)."""
        return resized_like(self.classifier(self.pyramid(self.encoder(image))), image)
