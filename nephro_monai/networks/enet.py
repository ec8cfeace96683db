"""ENet (Paszke 2016, arXiv 1606.02147) of a chosen width."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from nephro_monai.networks.pixel_standardization import PixelStandardization

__all__ = ["ENet"]

_STRIDE = 8  # three halvings
_REDUCTION = 4  # bottlenecks work on a quarter of their output channels, as in the authors' released code
_PAPER_CHANNELS = (16, 64, 128)
# Stages 2 and 3 of the paper's table: dilation, or 0 for the asymmetric convolution.
_DEEP_STAGE = (1, 2, 0, 4, 1, 8, 0, 16)


class ENet(nn.Module):
    """ENet: an encoder of three stages and a small decoder, both of bottlenecks.

    `width=1.0` is the published network (0.37 M parameters; 16, 64 and 128 channels). Its layers are named after the
    paper's table: `initial`, `bottleneck1` (with the downsampling one first) to `bottleneck5`, `fullconv`.

    With `slice_shape` the network takes slices in HU on one grid and brings every pixel to zero mean and unit deviation
    over a training set first (Dahiya 2019, section 2); the two slices of statistics are buffers, so that they travel
    with the weights (`set_statistics`).

    Args:
        in_channels: Channels of the input, fewer than the first stage has.
        out_channels: Classes, background included.
        width: Factor of all channel counts; 1.0 in the paper.
        slice_shape: Rows and columns of the slices; None leaves the input as it is, of any size.
        window_hu: With `slice_shape`, HU beyond it are clipped, in the statistics too.
        dropout: Channel dropout of the bottlenecks of stage 1, of stages 2 and 3, and of the decoder (0.01, 0.1 and 0.1
            in the paper; the authors' released code has none in the decoder).

    Raises:
        ValueError: If a channel count is below 1, `width` is not above 0, the first stage is not wider than the input,
            or `slice_shape` is no multiple of 8.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 3,
        width: float = 1.0,
        slice_shape: tuple[int, int] | None = None,
        window_hu: tuple[float, float] = (-1024.0, 3071.0),
        dropout: tuple[float, float, float] = (0.01, 0.1, 0.1),
    ) -> None:
        super().__init__()
        # Multiples of 4, because bottlenecks work on a quarter of the channels.
        first, second, third = (_REDUCTION * max(1, round(width * c / _REDUCTION)) for c in _PAPER_CHANNELS)
        if in_channels < 1 or out_channels < 1 or width <= 0 or first <= in_channels:
            raise ValueError(
                "ENet needs in_channels and out_channels >= 1, width > 0 and fewer input channels than the first stage "
                f"has ({first}); got in_channels={in_channels}, out_channels={out_channels}, width={width}."
            )
        if slice_shape is not None and any(extent % _STRIDE for extent in slice_shape):
            raise ValueError(f"slice_shape must be multiples of {_STRIDE}, got {tuple(slice_shape)}.")
        self.standardize = (
            nn.Identity() if slice_shape is None else PixelStandardization(in_channels, slice_shape, window_hu)
        )
        shallow, deep, up = dropout
        self.initial = _Initial(in_channels, first)
        self.bottleneck1_0 = _Downsampling(first, second, shallow)
        self.bottleneck1 = nn.Sequential(*(_Bottleneck(second, shallow) for _ in range(4)))
        self.bottleneck2_0 = _Downsampling(second, third, deep)
        self.bottleneck2 = nn.Sequential(*(_Bottleneck(third, deep, dilation) for dilation in _DEEP_STAGE))
        self.bottleneck3 = nn.Sequential(*(_Bottleneck(third, deep, dilation) for dilation in _DEEP_STAGE))
        self.bottleneck4_0 = _Upsampling(third, second, up)
        self.bottleneck4 = nn.Sequential(*(_Bottleneck(second, up, decoder=True) for _ in range(2)))
        self.bottleneck5_0 = _Upsampling(second, first, up)
        self.bottleneck5 = nn.Sequential(_Bottleneck(first, up, decoder=True))
        self.fullconv = nn.ConvTranspose2d(first, out_channels, kernel_size=2, stride=2)

    @torch.jit.unused
    def set_statistics(self, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        """Takes over the mean and standard-deviation slices of a training set.

        Args:
            mean: (in_channels, *slice_shape) in HU, from `data.compute_slice_statistics`.
            deviation: The same shape, in HU.

        Raises:
            ValueError: If the network was made without `slice_shape`, or the shapes differ.
        """
        if not isinstance(self.standardize, PixelStandardization):
            raise ValueError("This ENet has no slice statistics; make it with slice_shape=(rows, columns).")
        self.standardize.set_statistics(mean, deviation)

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        """Logits of every pixel.

        Args:
            slices: (B, in_channels, H, W), H and W multiples of 8; with `slice_shape` exactly that, in HU.

        Returns:
            (B, out_channels, H, W) logits.

        Raises:
            ValueError: If H or W does not fit.
        """
        if not torch.jit.is_scripting():
            self._check_extents(slices)
        features = self.initial(self.standardize(slices))
        features, indices1 = self.bottleneck1_0(features)
        features = self.bottleneck1(features)
        features, indices2 = self.bottleneck2_0(features)
        features = self.bottleneck3(self.bottleneck2(features))
        features = self.bottleneck4(self.bottleneck4_0(features, indices2))
        features = self.bottleneck5(self.bottleneck5_0(features, indices1))
        return self.fullconv(features)

    @torch.jit.unused
    def _check_extents(self, slices: torch.Tensor) -> None:
        rows, columns = slices.shape[-2:]
        if rows % _STRIDE != 0 or columns % _STRIDE != 0:
            raise ValueError(
                f"ENet halves the slice three times, so rows and columns must be multiples of {_STRIDE}; "
                f"got {[rows, columns]}. Pad or crop the slice."
            )


class _Initial(nn.Module):
    """3x3 convolution with stride 2 beside max-pooling of the input (figure 2a), together `channels`."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(in_channels, channels - in_channels, 3, stride=2, padding=1, bias=False)
        self.finish = nn.Sequential(nn.BatchNorm2d(channels), nn.PReLU(channels))

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        pooled = functional.max_pool2d(slices, 2)
        return self.finish(torch.cat([self.convolution(slices), pooled], dim=1))


class _Bottleneck(nn.Module):
    """Figure 2b without a change of size; `dilation` 0 stands for the asymmetric 5x1 and 1x5 convolutions."""

    def __init__(self, channels: int, dropout: float, dilation: int = 1, decoder: bool = False) -> None:
        super().__init__()
        inner = channels // _REDUCTION
        middle: list[nn.Module] = [nn.Conv2d(inner, inner, 3, padding=dilation, dilation=dilation or 1, bias=False)]
        if dilation == 0:
            middle = [
                nn.Conv2d(inner, inner, (5, 1), padding=(2, 0), bias=False),
                nn.Conv2d(inner, inner, (1, 5), padding=(0, 2), bias=False),
            ]
        self.extension = nn.Sequential(
            nn.Conv2d(channels, inner, 1, bias=False),
            *_norm_act(inner, decoder),
            *middle,
            *_norm_act(inner, decoder),
            *_expansion(inner, channels, dropout),
        )
        self.act = _activation(channels, decoder)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.act(features + self.extension(features))


class _Downsampling(nn.Module):
    """Max-pooling with kept indices and zero channels as skip; 2x2 convolution with stride 2 as first projection."""

    def __init__(self, in_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        inner = out_channels // _REDUCTION
        self.missing = out_channels - in_channels
        self.extension = nn.Sequential(
            nn.Conv2d(in_channels, inner, 2, stride=2, bias=False),
            *_norm_act(inner),
            nn.Conv2d(inner, inner, 3, padding=1, bias=False),
            *_norm_act(inner),
            *_expansion(inner, out_channels, dropout),
        )
        self.act = nn.PReLU(out_channels)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        skip, indices = functional.max_pool2d(features, 2, return_indices=True)
        skip = functional.pad(skip, (0, 0, 0, 0, 0, self.missing))
        return self.act(skip + self.extension(features)), indices


class _Upsampling(nn.Module):
    """1x1 convolution and max-unpooling with the encoder's indices as skip; transposed convolution in the middle."""

    def __init__(self, in_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        inner = out_channels // _REDUCTION
        self.skip = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels))
        self.extension = nn.Sequential(
            nn.Conv2d(in_channels, inner, 1, bias=False),
            *_norm_act(inner, decoder=True),
            nn.ConvTranspose2d(inner, inner, 3, stride=2, padding=1, output_padding=1, bias=False),
            *_norm_act(inner, decoder=True),
            *_expansion(inner, out_channels, dropout),
        )
        self.act = _activation(out_channels, decoder=True)

    def forward(self, features: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        return self.act(_unpool(self.skip(features), indices) + self.extension(features))


def _unpool(features: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """`max_unpool2d` of 2x2 windows, written as a scatter, which exporters know.

    Args:
        features: (B, C, H, W).
        indices: (B, C, H, W), places in each channel's (2H, 2W) plane.

    Returns:
        (B, C, 2H, 2W), zero but at those places.
    """
    batch, channels, rows, columns = features.shape
    plane = torch.zeros((batch, channels, 4 * rows * columns), dtype=features.dtype, device=features.device)
    plane = plane.scatter(2, indices.flatten(2), features.flatten(2))
    return plane.view(batch, channels, 2 * rows, 2 * columns)


def _activation(channels: int, decoder: bool) -> nn.Module:
    """PReLU in the encoder, ReLU in the decoder."""
    return nn.ReLU() if decoder else nn.PReLU(channels)


def _norm_act(channels: int, decoder: bool = False) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm2d(channels), _activation(channels, decoder)


def _expansion(inner: int, channels: int, dropout: float) -> tuple[nn.Module, nn.Module, nn.Module]:
    return nn.Conv2d(inner, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.Dropout2d(dropout)
