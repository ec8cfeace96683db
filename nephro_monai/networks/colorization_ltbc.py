"""Let there be Color! (Iizuka 2016), with a width, on windowed CT slices."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from nephro_monai.networks.converted_weights import load_converted_weights
from nephro_monai.networks.lab_color import lab_to_rgb, rgb_to_lab

__all__ = ["LetThereBeColor", "load_released_checkpoint"]


class LetThereBeColor(nn.Module):
    """Gray slice in, colored slice out: what is here and what the whole picture shows give the colors together.

    Low-level features at an eighth of the resolution feed two branches: mid-level features of the slice itself, and
    global features of a copy of it resized to `global_size`, which end in one vector. The fusion layer joins the vector
    to every pixel of the mid-level features; the decoder predicts a and b at half the resolution, enlarged bilinearly.
    A side branch classifies the picture from the global features while training (Iizuka 2016, figure 2 and table 1).

    Every channel count is a multiple of `width`: at 64 all sizes are the published ones, dense layers included.
    Lightness is CIE L of the gray picture, as in `ColorfulColorizer`.

    Args:
        width: Channels of the first convolution.
        classes: Outputs of the side branch: the 205 scenes of Places in the paper; here what the training tells
            slices apart by (see `training.color_objectives.RegressedColors`).
        global_size: Rows and columns of the copy for the global features; 224 in the paper.
        batch_norm: Batch norm after every convolution and hidden dense layer, as the paper trains with. Converted
            checkpoints whose layers have none (or have it folded into their weights) need False.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, width: int = 64, classes: int = 7, global_size: int = 224, batch_norm: bool = True) -> None:
        super().__init__()
        if width < 2 or width % 2 or classes < 1 or global_size < 32 or global_size % 32:
            raise ValueError(
                "width must be even and at least 2, classes at least 1 and global_size a multiple of 32; "
                f"got {width}, {classes} and {global_size}."
            )
        self.classes = classes
        self.global_size = global_size
        w1, w2, w4, w8 = width, 2 * width, 4 * width, 8 * width
        self.low = _convolutions([1, w1, w2, w2, w4, w4, w8], [2, 1, 2, 1, 2, 1], batch_norm)
        self.mid = _convolutions([w8, w8, w4], [1, 1], batch_norm)
        self.global_conv = _convolutions([w8, w8, w8, w8, w8], [2, 1, 2, 1], batch_norm)
        flat = w8 * (global_size // 32) ** 2
        self.global_dense = nn.Sequential(_dense(flat, 2 * w8, batch_norm), _dense(2 * w8, w8, batch_norm))
        self.global_vector = _dense(w8, w4, batch_norm)
        self.fusion = _block(nn.Conv2d(2 * w4, w4, kernel_size=1), nn.BatchNorm2d(w4) if batch_norm else None)
        self.color = nn.Sequential(
            _convolutions([w4, w2], [1], batch_norm),
            nn.Upsample(scale_factor=2.0, mode="nearest"),
            _convolutions([w2, w1, w1], [1, 1], batch_norm),
            nn.Upsample(scale_factor=2.0, mode="nearest"),
            _convolutions([w1, w1 // 2], [1], batch_norm),
            nn.Conv2d(w1 // 2, 2, kernel_size=3, padding=1),
            nn.Sigmoid(),
        )
        self.side = nn.Sequential(_dense(w8, w4, batch_norm), nn.Linear(w4, classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        self.register_buffer("mean", torch.tensor(0.5))  # of the training pictures; the checkpoint brings its own

    def chrominance(self, gray: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What training compares with its targets.

        Args:
            gray: (B, 1, H, W) in 0..1, H and W multiples of 8.

        Returns:
            (B, 2, H / 2, W / 2), a and b with 0..1 for -100..100; and (B, classes) logits of the side branch.
        """
        centered = gray - self.mean  # type: ignore[operator]
        size = [self.global_size, self.global_size]
        whole = functional.interpolate(centered, size=size, mode="bilinear", antialias=True, align_corners=False)
        global_features = self.global_dense(self.global_conv(self.low(whole)).flatten(1))
        mid = self.mid(self.low(centered))
        vector = self.global_vector(global_features)[:, :, None, None].expand(-1, -1, mid.size(2), mid.size(3))
        return self.color(self.fusion(torch.cat([mid, vector], dim=1))), self.side(global_features)

    def predict_ab(self, gray: torch.Tensor) -> torch.Tensor:
        """Colors before they are enlarged: (B, 1, H, W) in 0..1 to ab (B, 2, H / 2, W / 2), float32."""
        return 200.0 * self.chrominance(gray)[0].float() - 100.0

    def forward(self, gray: torch.Tensor) -> torch.Tensor:
        """Colors windowed slices.

        Args:
            gray: (B, 1, H, W) in 0..1, H and W multiples of 8.

        Returns:
            (B, 3, H, W) sRGB in 0..1, float32.
        """
        if gray.dim() != 4 or gray.size(1) != 1 or gray.size(2) % 8 != 0 or gray.size(3) % 8 != 0:
            raise ValueError(
                f"Expected gray slices (B, 1, H, W), sides divisible by 8, got {list(gray.shape)}; resize them."
            )
        lightness = rgb_to_lab(gray.float().expand(-1, 3, -1, -1))[:, :1]
        ab = functional.interpolate(self.predict_ab(gray), size=gray.shape[2:], mode="bilinear", align_corners=False)
        return lab_to_rgb(torch.cat([lightness, ab], dim=1))


def load_released_checkpoint(network: LetThereBeColor, path: str | Path) -> tuple[int, int]:
    """Loads the authors' `colornet.t7`, converted from Torch7 to safetensors.

    The converted file has this network's keys. In Torch7, `d = torch.load('colornet.t7')` holds `d.mean` and the graph
    `d.model`; below, "convolutions of" counts its modules of that kind in the order in which they run.

    | keys here | in `d.model` (Torch7 counts from 1) |
    |---|---|
    | `mean` | `d.mean`, one number |
    | `low.0` ... `low.5` | the six convolutions of `forwardnodes[4]`, 64 to 512 channels |
    | `mid.0`, `mid.1` | the two convolutions of `forwardnodes[5]` |
    | `global_conv.0` ... `.3` | the four convolutions of `forwardnodes[8]` |
    | `global_dense.0`, `.1` | the two `nn.Linear` of `forwardnodes[8]`, 25088 to 1024 to 512 |
    | `global_vector` | the `nn.Linear` of `forwardnodes[9]`, 512 to 256, before its two `nn.Replicate` |
    | `fusion` | the first convolution after the `nn.JoinTable`, 512 to 256, 1 x 1 |
    | `color.0.0`, `color.2.0`, `color.2.1`, `color.4.0` | the next four: 128, 64, 64 and 32 channels |
    | `color.5` | the last convolution, 2 channels: `color.5.weight` and `color.5.bias` themselves |
    | `side.0`, `side.1` | the classification branch, where the file has one (the released graph has not) |

    Each row stands for `<key>.layer.weight` and `<key>.layer.bias` (`color.5` and `side.1` without `layer`), where
    Torch7 has `weight` and `bias`; a `nn.SpatialConvolutionMM` keeps its weight as (out, in x rows x columns), to be
    reshaped to (out, in, rows, columns). Where a `nn.SpatialBatchNormalization` or `nn.BatchNormalization` follows,
    its `weight`, `bias`, `running_mean` and `running_var` go to `<key>.norm.*` (a file that stores `running_std`
    has 1 / standard deviation there); where none follows, build the network with `batch_norm=False`.

    Args:
        network: `LetThereBeColor(width=64)` for the released file.
        path: The converted file.

    Returns:
        Counts of loaded and of skipped tensors; skipped are the file's tensors that the network does not have.

    Raises:
        WeightsError: If the file is missing or unreadable, or a tensor that the network needs (the side branch is not
            needed) is missing or has another shape.
    """
    advice = (
        "The released checkpoint needs LetThereBeColor(width=64), with batch_norm=False where its layers have none, "
        "and the keys that load_released_checkpoint documents."
    )
    return load_converted_weights(network, path, optional=("side.",), advice=advice)


def _block(layer: nn.Module, norm: nn.Module | None) -> nn.Sequential:
    """A layer and what follows it, by the names that converted checkpoints have."""
    block = nn.Sequential()
    block.add_module("layer", layer)
    if norm is not None:
        block.add_module("norm", norm)
    block.add_module("relu", nn.ReLU(inplace=True))
    return block


def _convolutions(channels: list[int], strides: list[int], batch_norm: bool) -> nn.Sequential:
    """3 x 3 convolutions from `channels[0]` through all the others."""
    return nn.Sequential(
        *(
            _block(
                nn.Conv2d(channels[i], channels[i + 1], kernel_size=3, stride=stride, padding=1),
                nn.BatchNorm2d(channels[i + 1]) if batch_norm else None,
            )
            for i, stride in enumerate(strides)
        )
    )


def _dense(inputs: int, outputs: int, batch_norm: bool) -> nn.Sequential:
    return _block(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs) if batch_norm else None)
