"""Every pixel of a slice to zero mean and unit deviation over a training set (Dahiya 2019, section 2)."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["PixelStandardization"]


class PixelStandardization(nn.Module):
    """Subtracts the mean slice and divides by the standard-deviation slice of a training set.

    Both are buffers and so part of the weights; before `set_statistics` they are 0 and 1. HU are clipped to
    `window_hu` first, as in the statistics: single scans with values such as -6986..18326 HU exist, and would drown all
    others.

    Args:
        channels: Of the slices.
        slice_shape: Rows and columns.
        window_hu: Lowest and highest HU let through.
        least_deviation_hu: Where the training set hardly varies (air around the body), this stands for its deviation,
            so that something new there is not blown up.

    Raises:
        ValueError: If the window is empty or the least deviation is not above 0.
    """

    def __init__(
        self,
        channels: int,
        slice_shape: tuple[int, int],
        window_hu: tuple[float, float] = (-1024.0, 3071.0),
        least_deviation_hu: float = 10.0,
    ) -> None:
        super().__init__()
        if not window_hu[0] < window_hu[1] or least_deviation_hu <= 0:
            raise ValueError(
                f"window_hu needs lower < upper and least_deviation_hu > 0, got {tuple(window_hu)} and "
                f"{least_deviation_hu}."
            )
        self.lower, self.upper = float(window_hu[0]), float(window_hu[1])
        self.least_deviation_hu = float(least_deviation_hu)
        self.rows, self.columns = int(slice_shape[0]), int(slice_shape[1])
        self.register_buffer("mean", torch.zeros(channels, self.rows, self.columns))
        self.register_buffer("deviation", torch.ones(channels, self.rows, self.columns))

    @torch.jit.unused
    def set_statistics(self, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        """Takes over the statistics of a training set.

        Args:
            mean: (channels, rows, columns) in HU.
            deviation: The same shape, in HU.

        Raises:
            ValueError: If a shape differs from the network's.
        """
        own = self.get_buffer("mean")
        if mean.shape != own.shape or deviation.shape != own.shape:
            raise ValueError(
                f"The network's slices are {tuple(own.shape)}; got a mean of {tuple(mean.shape)} and a deviation of "
                f"{tuple(deviation.shape)}. Compute them on the network's grid with `nephro slice-statistics`."
            )
        own.copy_(mean)
        self.get_buffer("deviation").copy_(deviation.clamp(min=self.least_deviation_hu))

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        """Standardizes slices.

        Args:
            slices: (B, channels, rows, columns) in HU.

        Returns:
            The same shape, about -5..5 where scans are like those of the training set.

        Raises:
            ValueError: If rows or columns are not the network's.
        """
        if not torch.jit.is_scripting():
            self._check_extents(slices)
        clipped = slices.clamp(self.lower, self.upper)
        # No class-level annotations for the buffers: TorchScript cannot read them when they are strings.
        return (clipped - self.mean) / self.deviation  # type: ignore[operator]

    @torch.jit.unused
    def _check_extents(self, slices: torch.Tensor) -> None:
        rows, columns = slices.shape[-2:]
        if rows != self.rows or columns != self.columns:
            raise ValueError(
                f"The network's mean and deviation slices have {self.rows} x {self.columns} pixels, the input has "
                f"{rows} x {columns}; bring slices to that grid (geometry.axial_frame)."
            )
