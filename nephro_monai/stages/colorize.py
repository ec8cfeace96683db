"""Gives tumor slices three channels: learned colors, three windows, or gray copies."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch import nn

from nephro_monai.constants import COLORIZATION_WINDOW_HU
from nephro_monai.geometry import resample_to_shape
from nephro_monai.geometry.intensity import window_to_unit
from nephro_monai.networks.autocast import autocast

__all__ = [
    "ColorizeSlicesd",
    "GrayColorizer",
    "LearnedColorizer",
    "ThreeWindowColorizer",
    "colorize_slices",
    "window_slices",
]

Window = tuple[float, float]

RENAL_WINDOW_HU: Window = (-110.0, 190.0)
HIGH_WINDOW_HU: Window = (20.0, 120.0)
LOW_WINDOW_HU: Window = (-40.0, 60.0)


class LearnedColorizer(nn.Module):
    """Colors predicted by a network, as in ColorNephroNet (Obuchowski).

    Args:
        network: Turns gray slices (B, 1, H, W) in 0..1 into RGB (B, 3, H, W) in 0..1, for example `ColorfulColorizer`.
        use_bfloat16: None runs in bfloat16 where the hardware has it; True or False decides by hand.
    """

    def __init__(self, network: nn.Module, use_bfloat16: bool | None = None) -> None:
        super().__init__()
        self.network = network
        self.use_bfloat16 = use_bfloat16

    def forward(self, gray: torch.Tensor) -> torch.Tensor:
        """(B, 1, H, W) in 0..1 to (B, 3, H, W) in 0..1."""
        with autocast(gray.device, self.use_bfloat16):
            return self.network(gray).float()


class GrayColorizer(nn.Module):
    """The gray slice in all three channels: ColorNephroNet without colorization."""

    def forward(self, gray: torch.Tensor) -> torch.Tensor:
        """(B, 1, H, W) to (B, 3, H, W)."""
        return gray.expand(-1, 3, -1, -1).contiguous()


class ThreeWindowColorizer(nn.Module):
    """Three HU windows as red, green and blue (Zhou 2019).

    Args:
        windows: Lower and upper HU of each channel; the paper's renal, high and low window by default.

    Raises:
        ValueError: If there are not three windows.
    """

    def __init__(self, windows: Sequence[Window] = (RENAL_WINDOW_HU, HIGH_WINDOW_HU, LOW_WINDOW_HU)) -> None:
        super().__init__()
        if len(windows) != 3:
            raise ValueError(f"ThreeWindowColorizer needs three windows (red, green, blue), got {len(windows)}.")
        self.windows_hu = tuple((float(low), float(high)) for low, high in windows)

    def forward(self, windowed: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W), one channel per window, as it is."""
        return windowed


def window_slices(slices_hu: torch.Tensor, windows_hu: Sequence[Window], size: int = 256) -> torch.Tensor:
    """Windows slices to 0..1 and resizes them.

    Args:
        slices_hu: (1, h, w) or (B, 1, h, w) in HU.
        windows_hu: Lower and upper HU of each channel of the result.
        size: Rows and columns of the result.

    Returns:
        (windows, size, size) or (B, windows, size, size) float32 in 0..1.
    """
    if slices_hu.ndim == 3:
        return window_slices(slices_hu[None], windows_hu, size)[0]
    gray = torch.cat([window_to_unit(slices_hu.float(), window, 0.0, 1.0) for window in windows_hu], dim=1)
    return resample_to_shape(gray, (size, size))


def colorize_slices(
    slices_hu: torch.Tensor,
    colorizer: Callable[[torch.Tensor], torch.Tensor],
    window_hu: Window = COLORIZATION_WINDOW_HU,
    size: int = 256,
) -> torch.Tensor:
    """Windows, resizes and colors slices; training and inference both come through here.

    Args:
        slices_hu: (1, h, w) or (B, 1, h, w) in HU.
        colorizer: Gray (B, 1, size, size) in 0..1 to RGB (B, 3, size, size) in 0..1. One that has `windows_hu` gets a
            channel per window instead.
        window_hu: Lower and upper HU, for colorizers without windows of their own.
        size: Rows and columns of the result.

    Returns:
        (3, size, size) or (B, 3, size, size) float32 in 0..1.
    """
    if slices_hu.ndim == 3:
        return colorize_slices(slices_hu[None], colorizer, window_hu, size)[0]
    windows = getattr(colorizer, "windows_hu", None) or (window_hu,)
    return colorizer(window_slices(slices_hu, windows, size))


class ColorizeSlicesd(MapTransform):
    """Colors the tumor slices of a case; the slices in HU are kept.

    Adds to the case dictionary:
        colorized_slices: float32 (S, 3, size, size), RGB in 0..1, on the CPU.
    """

    def __init__(
        self,
        colorizer: Callable[[torch.Tensor], torch.Tensor],
        keys: KeysCollection = "tumor_slices",
        output_key: str = "colorized_slices",
        window_hu: Window = COLORIZATION_WINDOW_HU,
        size: int = 256,
        batch_size: int = 8,
        device: torch.device | str = "cpu",
    ) -> None:
        """Prepares the colorizer.

        Args:
            colorizer: `LearnedColorizer`, `ThreeWindowColorizer`, `GrayColorizer` or alike (see `colorize_slices`).
            keys: Where the slices are: float (S, 1, h, w) in HU.
            output_key: Where the colored slices go.
            window_hu: Center 60, width 400 in the paper.
            size: Rows and columns of the result.
            batch_size: Slices per pass.
            device: Where the colorizer runs.

        Raises:
            ValueError: If more than one key is given, or `size` or `batch_size` is below 1.
        """
        super().__init__(keys)
        if len(self.keys) != 1 or size < 1 or batch_size < 1:
            raise ValueError(
                "ColorizeSlicesd needs one key, and size and batch_size of at least 1; "
                f"got {self.keys}, {size} and {batch_size}."
            )
        self.device = torch.device(device)
        self.colorizer = colorizer.eval().to(self.device) if isinstance(colorizer, nn.Module) else colorizer
        self.output_key = output_key
        self.window_hu = (float(window_hu[0]), float(window_hu[1]))
        self.size = size
        self.batch_size = batch_size

    @torch.inference_mode()
    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns the case with the colored slices; none in, none out."""
        case = dict(data)
        slices = torch.as_tensor(case[self.keys[0]])
        colored = torch.empty((len(slices), 3, self.size, self.size))
        for start in range(0, len(slices), self.batch_size):
            batch = slices[start : start + self.batch_size].to(self.device)
            colored[start : start + self.batch_size] = colorize_slices(
                batch, self.colorizer, self.window_hu, self.size
            ).cpu()
        case[self.output_key] = colored
        return case
