"""The two-step attention head (Pan 2019, section II-C), for SCNet and for any other segmentation network."""

from __future__ import annotations

from typing import NamedTuple

import torch
from monai.networks.layers.factories import Conv, Norm
from torch import nn
from torch.nn import functional

__all__ = ["MultiTaskOutput", "TwoStepHead", "TwoStepNetwork", "network_outputs", "resized_like"]

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class MultiTaskOutput(NamedTuple):
    """All that a multi-task network says of an image; None for what it has no head for.

    Attributes:
        ternary: (B, 3, *spatial) logits of background, kidney, tumor.
        binary: (B, 2, *spatial) logits of background against kidney with tumor.
        classes: (B, slice classes) logits.
    """

    ternary: torch.Tensor | None
    binary: torch.Tensor | None = None
    classes: torch.Tensor | None = None


class TwoStepHead(nn.Module):
    """Finds kidney with tumor first and lets that guide the three classes (Pan 2019, equation 1).

    `Y = Phi2(Phi1(X) * F(X) + F(X))`: Phi1 is a classifier of two classes whose probability of kidney with tumor is
    the attention map, F a block of `features` channels (3-wide convolution, batch norm, ReLU), Phi2 the classifier of
    all classes. Both classifiers are convolutions of width 1.

    Args:
        in_channels: Channels of X.
        classes: Outputs of Phi2, background included.
        features: Channels of F, 32 in the paper.
        spatial_dims: 2 for slices, 3 for volumes.

    Raises:
        ValueError: If `spatial_dims` is neither 2 nor 3.
    """

    def __init__(self, in_channels: int, classes: int = 3, features: int = 32, spatial_dims: int = 2) -> None:
        super().__init__()
        if spatial_dims not in (2, 3):
            raise ValueError(f"TwoStepHead works on slices (spatial_dims 2) and volumes (3), got {spatial_dims}.")
        convolution, norm = Conv[Conv.CONV, spatial_dims], Norm[Norm.BATCH, spatial_dims]
        self.phi1 = convolution(in_channels, 2, 1)
        self.f = nn.Sequential(
            convolution(in_channels, features, 3, padding=1, bias=False), norm(features), nn.ReLU(inplace=True)
        )
        self.phi2 = convolution(features, classes, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Both classifications of a feature map.

        Args:
            x: (B, in_channels, *spatial).

        Returns:
            Logits (B, 2, *spatial) of Phi1, and (B, classes, *spatial) of Phi2.
        """
        binary = self.phi1(x)
        attention = torch.softmax(binary, dim=1)[:, 1:2]
        features = self.f(x)
        return binary, self.phi2(attention * features + features)


class TwoStepNetwork(nn.Module):
    """A segmentation network whose last layer gave way to a `TwoStepHead` (Pan 2019, section IV).

    The layer is replaced by nothing, and the head sees what the layer saw. Where that layer also enlarged its input
    (the last transposed convolution of ENet and of MONAI's U-Net), the head's logits are interpolated to the image's
    size instead.

    Args:
        network: Changed in place. For example our V-Net with `last_layer` "out_tr", our ENet with "fullconv", MONAI's
            `UNet` with "model.2".
        last_layer: Name of the module that turns features into logits, as `named_modules` has it.
        classes: Classes, background included.
        features: Channels of F.

    Raises:
        ValueError: If there is no such layer, or no convolution in it.
    """

    def __init__(self, network: nn.Module, last_layer: str, classes: int = 3, features: int = 32) -> None:
        super().__init__()
        modules = dict(network.named_modules())
        if not last_layer or last_layer not in modules:
            some = ", ".join(name for name, _ in network.named_children())
            raise ValueError(f"{type(network).__name__} has no layer {last_layer!r}; its parts are {some}.")
        convolutions = [m for m in modules[last_layer].modules() if isinstance(m, _CONVOLUTIONS)]
        if not convolutions:
            raise ValueError(f"The layer {last_layer!r} holds no convolution; name the one that makes the logits.")
        first = convolutions[0]
        network.set_submodule(last_layer, nn.Identity())
        self.network = network
        self.head = TwoStepHead(first.in_channels, classes, features, len(first.kernel_size))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (B, classes, *spatial) of an image (B, C, *spatial)."""
        _, ternary = self.head(self.network(image))
        return resized_like(ternary, image)

    @torch.jit.ignore
    def outputs(self, image: torch.Tensor) -> MultiTaskOutput:
        """Both steps of an image, for the loss."""
        binary, ternary = self.head(self.network(image))
        return MultiTaskOutput(ternary=resized_like(ternary, image), binary=resized_like(binary, image))

    @torch.jit.unused
    def set_statistics(self, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        """Hands the slice statistics of a training set to the network within (`ENet.set_statistics`).

        Raises:
            ValueError: If that network has none.
        """
        take = getattr(self.network, "set_statistics", None)
        if take is None:
            raise ValueError(f"{type(self.network).__name__} has no slice statistics; our ENet has.")
        take(mean, deviation)


def resized_like(logits: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Logits (B, C, *spatial) interpolated to an image's rows and columns (and slices), unless they have them."""
    if logits.shape[2:] == image.shape[2:]:
        return logits
    mode = "bilinear" if image.dim() == 4 else "trilinear"
    return functional.interpolate(logits, size=image.shape[2:], mode=mode, align_corners=False)


def network_outputs(network: nn.Module, image: torch.Tensor) -> MultiTaskOutput:
    """What a network says of images, whether it has several heads, only outlines, or only classifies.

    Args:
        network: With `outputs`, or giving logits (B, 3, *spatial) or (B, classes).
        image: (B, C, *spatial).
    """
    outputs = getattr(network, "outputs", None)
    if outputs is not None:
        return outputs(image)
    logits = network(image)
    if logits.dim() == 2:
        return MultiTaskOutput(ternary=None, classes=logits)
    return MultiTaskOutput(ternary=logits)
