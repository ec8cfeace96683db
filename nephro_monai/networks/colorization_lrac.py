"""Learning Representations for Automatic Colorization (Larsson 2016), with a width, on windowed CT slices."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from nephro_monai.networks.converted_weights import load_converted_weights
from nephro_monai.networks.hue_chroma_color import expected_hue_chroma, hue_chroma_to_rgb
from nephro_monai.networks.lab_color import rgb_to_lab

__all__ = ["HypercolumnColorizer", "load_released_checkpoint"]

_GRID = 4
"""Colors are predicted for cells of 4 x 4 pixels, as the authors' dense network does."""

_LAYERS = {
    "conv1_1": 1, "conv1_2": 1, "conv2_1": 2, "conv2_2": 2, "conv3_1": 4, "conv3_2": 4, "conv3_3": 4,
    "conv4_1": 8, "conv4_2": 8, "conv4_3": 8, "conv5_1": 16, "conv5_2": 16, "conv5_3": 16, "fc6": 32, "fc7": 32,
}  # fmt: skip
"""VGG-16 by Caffe's names, and the pixels of the slice that lie between two of a layer's."""


class HypercolumnColorizer(nn.Module):
    """Gray slice in, colored slice out: what all layers of a VGG-16 say about a pixel decides its hue and chroma.

    The hypercolumn of a cell of 4 x 4 pixels is the gray value and the features of all 15 layers there, averaged over
    the cell where a layer is finer, interpolated bilinearly where it is coarser: 12417 numbers at full width. A dense
    layer turns it into 1024 features and these into one distribution over 32 hues and one over 32 chromas. Decoded by
    expectation, with chroma faded out where the hues cancel out (Larsson 2016, sections 3.1 to 3.4).

    Training needs the hypercolumns of few cells only (`sampled_logits`). In use, all cells are wanted: there the dense
    layer is applied to every VGG layer in that layer's own resolution and the results are brought to the cells and
    summed, which is the same because both are linear, and never holds the 12417 channels.

    Every channel count is a multiple of `width`; 64 is the published network. Lightness is the mean of the three
    channels, kept from the gray slice.

    Args:
        width: Channels of the first convolution.
        bins: Of hue and of chroma, 32 in the paper.
        batch_norm: Batch norm without scale and shift after every VGG layer, as the authors trained; their released
            file has it folded into the weights and needs False.
        dropout: After fc6, fc7 and the dense layer.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, width: int = 64, bins: int = 32, batch_norm: bool = True, dropout: float = 0.5) -> None:
        super().__init__()
        if width < 1 or bins < 2 or not 0.0 <= dropout < 1.0:
            raise ValueError(
                "width must be at least 1, bins at least 2 and dropout at least 0 and below 1; "
                f"got {width}, {bins} and {dropout}."
            )
        self.bins = bins
        self.dropout = dropout
        inputs, self.channels = 1, [1]
        for name in _LAYERS:
            outputs = 64 * width if name.startswith("fc") else min(8, 2 ** (int(name[4]) - 1)) * width
            kernel = {"fc6": 7, "fc7": 1}.get(name, 3)
            self.add_module(name, nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2))
            if batch_norm:
                self.add_module(f"batch_{name}", nn.BatchNorm2d(outputs, affine=False))
            self.channels.append(outputs)
            inputs = outputs
        self.h_fc1 = nn.Conv2d(sum(self.channels), 16 * width, kernel_size=1)
        self.prediction_h = nn.Conv2d(16 * width, bins, kernel_size=1)
        self.prediction_c = nn.Conv2d(16 * width, bins, kernel_size=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def logits(self, gray: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores of the hues and of the chromas of all cells.

        Args:
            gray: (B, 1, H, W) in 0..1, H and W multiples of 32.

        Returns:
            Two of (B, bins, H / 4, W / 4).
        """
        size = [gray.size(2) // _GRID, gray.size(3) // _GRID]
        hidden = self.h_fc1.bias[:, None, None]  # type: ignore[index]
        weights = self.h_fc1.weight.split(self.channels, dim=1)
        for features, weight in zip(self._features(gray), weights, strict=True):
            finer = features.size(3) // size[1]
            if finer >= 1:
                hidden = hidden + functional.conv2d(functional.avg_pool2d(features, finer), weight)
            else:
                hidden = hidden + _enlarged(functional.conv2d(features, weight), size)
        return self._heads(hidden)

    def sampled_logits(self, gray: torch.Tensor, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores of the hues and of the chromas of some cells; the same as `logits` gives there.

        Args:
            gray: (B, 1, H, W) in 0..1, H and W multiples of 32.
            cells: (B, N) integers: row x W / 4 + column of each cell.

        Returns:
            Two of (B, bins, N).
        """
        rows, columns = gray.size(2) // _GRID, gray.size(3) // _GRID
        x, y = cells % columns, torch.div(cells, columns, rounding_mode="floor")
        points = torch.stack([(2 * x + 1) / columns - 1, (2 * y + 1) / rows - 1], dim=-1)[:, :, None]
        picked = []
        for features in self._features(gray):
            finer = features.size(3) // columns
            if finer >= 1:
                pooled = functional.avg_pool2d(features, finer).flatten(2)
                picked.append(pooled.gather(2, cells[:, None].expand(-1, pooled.size(1), -1))[..., None])
            else:
                picked.append(
                    functional.grid_sample(
                        features.float(), points.float(), mode="bilinear", padding_mode="border", align_corners=False
                    )
                )
        hue, chroma = self._heads(self.h_fc1(torch.cat(picked, dim=1)))
        return hue[..., 0], chroma[..., 0]

    def predict_ab(self, gray: torch.Tensor) -> torch.Tensor:
        """Colors of the cells: (B, 1, H, W) in 0..1 to ab (B, 2, H / 4, W / 4), float32."""
        hue, chroma = (torch.softmax(scores.float(), dim=1) for scores in self.logits(gray))
        rgb = hue_chroma_to_rgb(expected_hue_chroma(hue, chroma), functional.avg_pool2d(gray.float(), _GRID))
        return rgb_to_lab(rgb)[:, 1:]

    def forward(self, gray: torch.Tensor) -> torch.Tensor:
        """Colors windowed slices.

        Args:
            gray: (B, 1, H, W) in 0..1, H and W multiples of 32.

        Returns:
            (B, 3, H, W) sRGB in 0..1, float32.
        """
        if gray.dim() != 4 or gray.size(1) != 1 or gray.size(2) % 32 != 0 or gray.size(3) % 32 != 0:
            raise ValueError(
                f"Expected gray slices (B, 1, H, W), sides divisible by 32, got {list(gray.shape)}; resize them."
            )
        size = [gray.size(2), gray.size(3)]
        hue, chroma = (_enlarged(torch.softmax(scores.float(), dim=1), size) for scores in self.logits(gray))
        return hue_chroma_to_rgb(expected_hue_chroma(hue, chroma), gray.float())

    def _features(self, gray: torch.Tensor) -> list[torch.Tensor]:
        """The centered gray slice and the output of every layer."""
        features = [gray - 0.4488]  # mean of the authors' pictures
        stride = 1
        for name, layer_stride in _LAYERS.items():
            x = features[-1]
            if layer_stride > stride:
                x, stride = functional.max_pool2d(x, 2), layer_stride
            x = self.get_submodule(name)(x)
            if f"batch_{name}" in self._modules:
                x = self.get_submodule(f"batch_{name}")(x)
            x = functional.relu(x)
            if name.startswith("fc"):
                x = functional.dropout(x, self.dropout, self.training)
            features.append(x)
        return features

    def _heads(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = functional.dropout(functional.relu(hidden), self.dropout, self.training)
        return self.prediction_h(hidden), self.prediction_c(hidden)


def load_released_checkpoint(network: HypercolumnColorizer, path: str | Path) -> tuple[int, int]:
    """Loads the authors' `autocolorize.caffemodel.h5`, converted from Caffe to safetensors.

    The network's keys are Caffe's layer names, so the conversion is a copy: for each layer of `conv1_1` ... `conv5_3`,
    `fc6`, `fc7`, `h_fc1`, `prediction_h` and `prediction_c`, blob 0 becomes `<layer>.weight` and blob 1 `<layer>.bias`
    (in the HDF5 file `data/<layer>/0` and `data/<layer>/1`), shapes unchanged: (outputs, inputs, rows, columns), the
    hypercolumn's inputs of `h_fc1` in the order gray, conv1_1 ... fc7. The `..._full` layers hold fixed bilinear
    filters and are left out (or skipped).

    A snapshot of the authors' training instead of the released file has `colorize_fc1` for `h_fc1`,
    `prediction_h4` and `prediction_c4` for the last two, all three (outputs, inputs), to be reshaped to (outputs,
    inputs, 1, 1); and the layers `batch_<layer>`, whose blobs 0 and 1 divided by blob 2 become
    `batch_<layer>.running_mean` and `.running_var`.

    Args:
        network: `HypercolumnColorizer(width=64, batch_norm=False)` for the released file.
        path: The converted file.

    Returns:
        Counts of loaded and of skipped tensors; skipped are the file's tensors that the network does not have.

    Raises:
        WeightsError: If the file is missing or unreadable, or a tensor that the network needs is missing or has another
            shape.
    """
    advice = "The released checkpoint needs HypercolumnColorizer(width=64, batch_norm=False)."
    return load_converted_weights(network, path, advice=advice)


def _enlarged(maps: torch.Tensor, size: list[int]) -> torch.Tensor:
    return functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)
