"""Inception-v3 at any width, on three-window slices (Zhou 2019, image-level model)."""

from __future__ import annotations

from collections import OrderedDict
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision.models import Inception_V3_Weights
from torchvision.models.inception import (
    BasicConv2d,
    InceptionA,
    InceptionB,
    InceptionC,
    InceptionD,
    InceptionE,
)

from nephro_monai.errors import WeightsError
from nephro_monai.networks.decision_threshold import DecisionThreshold

__all__ = ["FREEZING_POINTS", "InceptionClassifier", "load_inception_weights", "start_transfer"]

FREEZING_POINTS: dict[str, str] = {
    "mixed0": "Mixed_5b", "mixed1": "Mixed_5c", "mixed2": "Mixed_5d", "mixed3": "Mixed_6a", "mixed4": "Mixed_6b",
    "mixed5": "Mixed_6c", "mixed6": "Mixed_6d", "mixed7": "Mixed_6e", "mixed8": "Mixed_7a", "mixed9": "Mixed_7b",
    "mixed10": "Mixed_7c",
}  # fmt: skip
"""Keras' names of the blocks, which the paper uses, and torchvision's (timm's are the same). The paper compares mixed0,
3, 6, 9 and 10."""

_SIXTEENTHS = 16
_CHANNELS = 2048


class InceptionClassifier(nn.Module):
    """Inception-v3, global average pooling, a learned projection and two output nodes.

    The network is torchvision's Inception-v3 without its auxiliary classifier, with every channel count times `width`;
    its convolutions have the names of torchvision's and timm's released weights. The paper's patient-level models take
    1024 features per slice, but Inception-v3 pools 2048 channels: the projection between them is learned with the
    image-level model. Slices in 0..1 are brought to -1..1 inside, as Keras and torchvision trained it.

    Args:
        width: Share of Inception-v3's channels, a multiple of 1/16 (so that every count stays whole); 1 is the paper's.
        features: Outputs of the projection, 1024 in the paper.
        dropout: Probability before the two output nodes.
        classes: Number of outputs.

    Raises:
        ValueError: If `width` is not a positive multiple of 1/16.
    """

    def __init__(self, width: float = 1.0, features: int = 1024, dropout: float = 0.0, classes: int = 2) -> None:
        super().__init__()
        sixteenths = Fraction(width).limit_denominator(1000) * _SIXTEENTHS
        if sixteenths < 1 or sixteenths.denominator != 1:
            raise ValueError(f"width must be a positive multiple of 1/16, such as 0.25, got {width}.")
        self.encoder = _encoder(int(sixteenths))
        self.projection = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(_CHANNELS // _SIXTEENTHS * int(sixteenths), features),
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(features, classes))
        self.threshold = DecisionThreshold()
        self.frozen_blocks = 0

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        """Scores the classes of three-window slices.

        Args:
            slices: (B, 3, H, W) in 0..1, at least 75 x 75; 299 x 299 in the paper.

        Returns:
            (B, classes) logits, moved by the decision threshold: the larger one is the answer.

        Raises:
            ValueError: If the slices are too small.
        """
        return self.threshold(self.logits(slices))

    def logits(self, slices: torch.Tensor) -> torch.Tensor:
        """(B, classes) logits as trained, before the decision threshold."""
        return self.head(self.features(slices))

    def features(self, slices: torch.Tensor) -> torch.Tensor:
        """What the patient-level models see of (B, 3, H, W) slices: (B, features), not negative."""
        if slices.shape[2] < 75 or slices.shape[3] < 75:
            raise ValueError(
                "Inception-v3 needs slices of at least 75 x 75 pixels (the paper has 299 x 299); resize them."
            )
        return self.projection(self.encoder(slices * 2.0 - 1.0))

    @torch.jit.ignore
    def freeze_before(self, block: str | None) -> None:
        """Keeps all layers before a block as they are: no gradients, batch norm with its stored statistics.

        Args:
            block: "mixed0" to "mixed10" (`FREEZING_POINTS`), or None to train everything.

        Raises:
            ValueError: If there is no such block.
        """
        if block is not None and block not in FREEZING_POINTS:
            raise ValueError(f"Freezing stops before one of {', '.join(FREEZING_POINTS)}, got {block!r}.")
        names = [name for name, _ in self.encoder.named_children()]
        self.frozen_blocks = names.index(FREEZING_POINTS[block]) if block else 0
        for index, layer in enumerate(self.encoder):
            layer.requires_grad_(index >= self.frozen_blocks)
        self.train(self.training)

    @torch.jit.ignore
    def train(self, mode: bool = True) -> InceptionClassifier:
        """Training or evaluation mode; frozen layers stay in evaluation mode."""
        super().train(mode)
        for layer in list(self.encoder)[: self.frozen_blocks]:
            layer.eval()
        return self


def load_inception_weights(network: InceptionClassifier, source: str | Path) -> None:
    """Fills the encoder with released weights, by key.

    Args:
        network: Of full width for released weights.
        source: File with the `state_dict` of torchvision's or timm's Inception-v3, or "imagenet" to download
            torchvision's (once, into torch's cache, with its checksum verified).

    Raises:
        WeightsError: If the file cannot be read or does not fit the encoder.
    """
    state = _state(source)
    own = network.encoder.state_dict()
    fitting = {k.removeprefix("encoder."): v for k, v in state.items() if k.removeprefix("encoder.") in own}
    missing = [k for k in own if k not in fitting and not k.endswith("num_batches_tracked")]
    wrong = [k for k, v in fitting.items() if v.shape != own[k].shape]
    if missing or wrong:
        raise WeightsError(
            f"{source} does not fit this Inception-v3: {len(missing)} of {len(own)} tensors are missing and "
            f"{len(wrong)} have other shapes. Released weights need width 1; others the width they were trained with."
        )
    network.encoder.load_state_dict({**own, **fitting})


def start_transfer(network: nn.Module, pretrained: str | Path | None, freeze_before: str | None) -> None:
    """Prepares every Inception-v3 in a network for transfer learning.

    Args:
        network: Holds `InceptionClassifier`s, for example a `FoldVote` of them.
        pretrained: As `source` of `load_inception_weights`; None trains from scratch.
        freeze_before: As `InceptionClassifier.freeze_before`.

    Raises:
        WeightsError: If the weights do not fit, or layers would be frozen that nothing has trained.
        ValueError: If there is no such block.
    """
    if freeze_before is not None and pretrained is None:
        raise WeightsError(
            f"freeze_before={freeze_before} would freeze random layers; give pretrained a file with Inception-v3 "
            'weights or "imagenet" to download them, or set freeze_before to null to train everything.'
        )
    for part in network.modules():
        if isinstance(part, InceptionClassifier):
            if pretrained is not None:
                load_inception_weights(part, pretrained)
            part.freeze_before(freeze_before)


def _state(source: str | Path) -> dict[str, torch.Tensor]:
    if str(source) == "imagenet":
        try:
            return dict(Inception_V3_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True))
        except Exception as error:
            raise WeightsError(
                f"torchvision's ImageNet weights cannot be downloaded ({error}). Fetch inception_v3 elsewhere and give "
                "its file."
            ) from error
    if not Path(source).is_file():
        raise WeightsError(f'{source} does not exist; give a file with Inception-v3 weights, or "imagenet".')
    try:
        state: dict[str, Any] = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"{source} is not a plain state_dict of tensors: {error}.") from error
    return dict(state.get("state_dict", state))


def _encoder(sixteenths: int) -> nn.Sequential:
    """The layers of torchvision from the first convolution to the last block, each count times `sixteenths` / 16."""

    def scaled(channels: int) -> int:
        return channels * sixteenths // _SIXTEENTHS

    def conv(in_channels: int, out_channels: int, **kwargs: Any) -> BasicConv2d:
        return BasicConv2d(in_channels if in_channels == 3 else scaled(in_channels), scaled(out_channels), **kwargs)

    a, b, c, d, e = (partial(f, conv_block=conv) for f in (InceptionA, InceptionB, InceptionC, InceptionD, InceptionE))
    return nn.Sequential(
        OrderedDict(
            Conv2d_1a_3x3=conv(3, 32, kernel_size=3, stride=2),
            Conv2d_2a_3x3=conv(32, 32, kernel_size=3),
            Conv2d_2b_3x3=conv(32, 64, kernel_size=3, padding=1),
            maxpool1=nn.MaxPool2d(kernel_size=3, stride=2),
            Conv2d_3b_1x1=conv(64, 80, kernel_size=1),
            Conv2d_4a_3x3=conv(80, 192, kernel_size=3),
            maxpool2=nn.MaxPool2d(kernel_size=3, stride=2),
            Mixed_5b=a(192, pool_features=32),
            Mixed_5c=a(256, pool_features=64),
            Mixed_5d=a(288, pool_features=64),
            Mixed_6a=b(288),
            Mixed_6b=c(768, channels_7x7=128),
            Mixed_6c=c(768, channels_7x7=160),
            Mixed_6d=c(768, channels_7x7=160),
            Mixed_6e=c(768, channels_7x7=192),
            Mixed_7a=d(768),
            Mixed_7b=e(1280),
            Mixed_7c=e(2048),
        )
    )
