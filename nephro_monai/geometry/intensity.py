"""HU windows as networks see them."""

from __future__ import annotations

import torch

__all__ = ["window_to_unit"]


def window_to_unit(
    hu: torch.Tensor, window_hu: tuple[float, float], low: float = -1.0, high: float = 1.0
) -> torch.Tensor:
    """Clips HU to a window and scales it linearly to `low`..`high`; the one normalization of training and inference.

    Args:
        hu: Tensor of any shape in HU, floating point or integer.
        window_hu: Lower and upper bound in HU, lower first.
        low: Value of everything at or below the window.
        high: Value of everything at or above the window.

    Returns:
        float32 tensor of the same shape (floating-point inputs keep their dtype); never written in place.

    Raises:
        ValueError: If the window is empty or inverted.
    """
    lower, upper = float(window_hu[0]), float(window_hu[1])
    if not lower < upper:
        raise ValueError(f"A window needs its lower bound below its upper bound, got {tuple(window_hu)} HU.")
    values = hu if hu.is_floating_point() else hu.float()
    return values.clamp(lower, upper).sub_(lower).mul_((high - low) / (upper - lower)).add_(low)
