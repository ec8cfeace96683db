"""V-Net (Milletari 2016, arXiv 1606.04797) of a chosen width, assembled from MONAI's blocks."""

from __future__ import annotations

import torch
from monai.networks.nets.vnet import DownTransition, InputTransition, OutputTransition, UpTransition
from torch import nn

__all__ = ["VNet"]

_STRIDE = 16  # four halvings
_PAPER_KERNEL = 5


class VNet(nn.Module):
    """V-Net whose first stage has `width` channels; every further stage doubles them.

    `width=16` is the published network: its parameter names and shapes are those of
    `monai.networks.nets.VNet`, so that weights go from one to the other.

    Args:
        in_channels: Channels of the input; must divide `width`.
        out_channels: Classes, background included.
        width: Channels of the first stage (16 in the paper).
        act: Activation as MONAI names it (MONAI's ELU; the paper has PReLU: "prelu").
        dropout: Channel dropout of the two deepest encoder stages, of upsampled features and of skip features in the
            two deepest decoder stages; the two others drop only skip features.
        spatial_dims: 3 for volumes, 2 for slices.
        kernel_size: Side of the convolution kernels of the residual stages, odd: 5 in the paper; 3 has 27 instead of
            125 weights per pair of channels and trains about three times as fast at the same width.

    Raises:
        ValueError: If `in_channels` does not divide `width`, `width` or `out_channels` is below 1, or `kernel_size`
            is even.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 3,
        width: int = 16,
        act: str = "elu",
        dropout: tuple[float, float, float] = (0.5, 0.5, 0.5),
        spatial_dims: int = 3,
        kernel_size: int = 5,
    ) -> None:
        super().__init__()
        if width < 1 or out_channels < 1 or in_channels < 1 or width % in_channels:
            raise ValueError(
                f"VNet needs width and out_channels >= 1 and in_channels that divides width, "
                f"got width={width}, in_channels={in_channels}, out_channels={out_channels}."
            )
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"VNet needs an odd kernel_size (5 in the paper), got {kernel_size}.")
        activation = ("elu", {"inplace": True}) if act == "elu" else act
        down, up_share, skip = dropout
        dropout_down = down or None  # MONAI's way to say none
        skip_only, up = (None, skip), (up_share, skip)
        dims, w = spatial_dims, width
        self.in_tr = InputTransition(dims, in_channels, w, activation)
        self.down_tr32 = DownTransition(dims, w, 1, activation)
        self.down_tr64 = DownTransition(dims, 2 * w, 2, activation)
        self.down_tr128 = DownTransition(dims, 4 * w, 3, activation, dropout_prob=dropout_down)
        self.down_tr256 = DownTransition(dims, 8 * w, 2, activation, dropout_prob=dropout_down)
        self.up_tr256 = UpTransition(dims, 16 * w, 16 * w, 2, activation, dropout_prob=up)
        self.up_tr128 = UpTransition(dims, 16 * w, 8 * w, 2, activation, dropout_prob=up)
        self.up_tr64 = UpTransition(dims, 8 * w, 4 * w, 1, activation, dropout_prob=skip_only)
        self.up_tr32 = UpTransition(dims, 4 * w, 2 * w, 1, activation, dropout_prob=skip_only)
        self.out_tr = OutputTransition(dims, 2 * w, out_channels, activation)
        if kernel_size != _PAPER_KERNEL:
            _change_kernels(self, kernel_size)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of every voxel.

        Args:
            image: (B, in_channels, *spatial), each spatial extent a multiple of 16.

        Returns:
            (B, out_channels, *spatial) logits.

        Raises:
            ValueError: If a spatial extent is no multiple of 16.
        """
        if not torch.jit.is_scripting():
            self._check_extents(image)
        out1 = self.in_tr(image)
        out2 = self.down_tr32(out1)
        out4 = self.down_tr64(out2)
        out8 = self.down_tr128(out4)
        if torch.jit.is_scripting():  # noqa: SIM108 - TorchScript leaves branches out of if statements only
            deepest = self.down_tr256(out8)
        else:
            deepest = self._deepest(out8)
        decoded = self.up_tr256(deepest, out8)
        decoded = self.up_tr128(decoded, out4)
        decoded = self.up_tr64(decoded, out2)
        decoded = self.up_tr32(decoded, out1)
        return self.out_tr(decoded)

    @torch.jit.unused
    def _deepest(self, features: torch.Tensor) -> torch.Tensor:
        """The deepest stage, in float32 while training.

        oneDNN's bfloat16 gradient of a 5x5x5 kernel over fewer than 5 voxels (64x64x32 patches are 4x4x2 here) is
        wrong and sometimes NaN (torch 2.15 on AVX512-BF16); the stage is a small part of the work.
        """
        if not self.training or features.device.type != "cpu":
            return self.down_tr256(features)
        with torch.autocast(features.device.type, enabled=False):
            return self.down_tr256(features.float())

    @torch.jit.unused
    def _check_extents(self, image: torch.Tensor) -> None:
        for extent in image.shape[2:]:
            if extent % _STRIDE != 0:
                raise ValueError(
                    f"VNet halves the volume four times, so every extent must be a multiple of {_STRIDE}; "
                    f"got {list(image.shape[2:])}. Pad the volume or use a sliding window whose roi_size fits."
                )


def _change_kernels(network: nn.Module, kernel_size: int) -> None:
    """Replaces the paper's 5-wide convolutions, which MONAI's blocks have built in, by others of the same channels."""
    for block in network.modules():
        for name, layer in block.named_children():
            if isinstance(layer, (nn.Conv2d, nn.Conv3d)) and layer.kernel_size[0] == _PAPER_KERNEL:
                has_bias = layer.bias is not None
                new = type(layer)(
                    layer.in_channels, layer.out_channels, kernel_size, padding=kernel_size // 2, bias=has_bias
                )
                setattr(block, name, new)
