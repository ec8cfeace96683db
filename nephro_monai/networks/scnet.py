"""SCNet: one network that outlines kidney and tumor in a slice and says what the tumor is (Pan 2019, ICIP)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock

from nephro_monai.constants import LABEL_NAMES
from nephro_monai.networks.dilated_resnet import DilatedResNet
from nephro_monai.networks.pyramid import PyramidParsing
from nephro_monai.networks.two_step_head import MultiTaskOutput, TwoStepHead, resized_like

__all__ = ["SCNet"]


class SCNet(nn.Module):
    """Dilated ResNet, pyramid parsing, then two heads on the same features (Pan 2019, section II, figure 1).

    SegNet is the two-step head; ClsNet is residual blocks, global average pooling, dropout and a dense layer. Calling
    the network gives the three-class logits alone (one tensor, as exports and MONAI's tools expect); `outputs` gives
    what every head says, for the loss and for inference in one pass.

    Args:
        in_channels: Registered contrast phases of one patient, stacked as channels.
        slice_classes: Of a slice: benign, malignant, normal; in the order of `constants.SLICE_CLASS_NAMES`.
        encoder: Arguments of `DilatedResNet` but `in_channels`; the paper's ResNet-50 by default.
        ratios: Of the pyramid's branches.
        features: Channels of the two-step head's F.
        class_features: Channels of ClsNet's residual blocks, one block of stride 2 each.
        dropout: Before ClsNet's dense layer.

    Raises:
        ValueError: If there is no residual block.
    """

    def __init__(
        self,
        in_channels: int = 1,
        slice_classes: int = 3,
        encoder: Mapping[str, Any] | None = None,
        ratios: Sequence[int] = (2, 4, 8),
        features: int = 32,
        class_features: Sequence[int] = (128, 256),
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if not class_features:
            raise ValueError("ClsNet needs at least one residual block; give class_features such as [128, 256].")
        self.encoder = DilatedResNet(in_channels=in_channels, **(encoder or {}))
        self.pyramid = PyramidParsing(self.encoder.channels, ratios)
        self.segment = TwoStepHead(self.pyramid.channels, len(LABEL_NAMES), features)
        blocks: list[nn.Module] = []
        channels = self.pyramid.channels
        for width in class_features:
            blocks.append(_residual_block(channels, width))
            channels = width
        self.classify = nn.Sequential(
            *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(channels, slice_classes)
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of every pixel.

        Args:
            image: (B, in_channels, H, W), HU scaled to -1..1; 150 x 150 in the paper, other sizes run too.

        Returns:
            (B, 3, H, W), in the order of `constants.LABEL_NAMES`.
        """
        _, ternary = self.segment(self.pyramid(self.encoder(image)))
        return resized_like(ternary, image)

    @torch.jit.ignore
    def outputs(self, image: torch.Tensor) -> MultiTaskOutput:
        """What all three classifiers say of slices (B, in_channels, H, W), in one pass."""
        features = self.pyramid(self.encoder(image))
        binary, ternary = self.segment(features)
        return MultiTaskOutput(resized_like(ternary, image), resized_like(binary, image), self.classify(features))


def _residual_block(in_channels: int, channels: int) -> BasicBlock:
    shortcut = nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride=2, bias=False), nn.BatchNorm2d(channels))
    return BasicBlock(in_channels, channels, stride=2, downsample=shortcut)
