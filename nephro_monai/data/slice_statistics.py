"""Mean and standard-deviation slice of a training set (Dahiya 2019, section 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from nephro_monai.constants import HU_RANGE
from nephro_monai.errors import TrainingDataError

__all__ = ["SliceStatistics", "compute_slice_statistics", "read_slice_statistics"]


class SliceStatistics(NamedTuple):
    """Pixel by pixel over a training set: (1, rows, columns) float32, in HU."""

    mean: torch.Tensor
    deviation: torch.Tensor


def compute_slice_statistics(
    slices: Sequence[Mapping[str, Any]],
    shape: tuple[int, int],
    window_hu: tuple[float, float] = HU_RANGE,
    file: str | Path | None = None,
) -> SliceStatistics:
    """Mean and standard deviation of every pixel position, as the paper normalizes its slices.

    Args:
        slices: With `image`, (1, H, W) in HU, such as `cut_segmentation_slices` gives; what is larger than `shape`
            (the context of crops) counts with its middle.
        shape: Rows and columns of the network's input.
        window_hu: HU beyond it are clipped first, as the network does; a single scan of -6986..18326 HU would
            otherwise decide the deviation.
        file: Statistics that were computed before (`nephro slice-statistics`) are read from it instead.

    Returns:
        Mean and deviation (of the population, not of a sample).

    Raises:
        TrainingDataError: If there are no slices, one is smaller than `shape`, or the file does not fit.
    """
    if file is not None:
        return read_slice_statistics(file, shape)
    if not slices:
        raise TrainingDataError("There are no slices to compute a mean and a deviation of; check the training data.")
    total = torch.zeros(shape, dtype=torch.float64)
    squares = torch.zeros(shape, dtype=torch.float64)
    for one in slices:
        image = _middle(one["image"][0], shape).double().clamp(*window_hu)
        total += image
        squares += image.square()
    mean = total / len(slices)
    deviation = (squares / len(slices) - mean.square()).clamp(min=0).sqrt()
    return SliceStatistics(mean[None].float(), deviation[None].float())


def read_slice_statistics(file: str | Path, shape: tuple[int, int]) -> SliceStatistics:
    """Reads what `nephro slice-statistics` wrote.

    Raises:
        TrainingDataError: If the file is no such file, or its slices are of another shape.
    """
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
        found = SliceStatistics(content["mean"], content["deviation"])
    except Exception as error:
        raise TrainingDataError(
            f"{file} holds no slice statistics ({error}); make it with `nephro slice-statistics`."
        ) from error
    if any(tuple(one.shape) != (1, *shape) for one in found):
        raise TrainingDataError(
            f"{file} holds slices of {tuple(found.mean.shape)}, the network takes {(1, *shape)}; compute them anew "
            "with the configuration you train."
        )
    return found


def _middle(image: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    extra = [have - wanted for have, wanted in zip(image.shape, shape, strict=True)]
    if min(extra) < 0:
        raise TrainingDataError(f"A slice of {tuple(image.shape)} is smaller than the wanted {tuple(shape)}.")
    top, left = extra[0] // 2, extra[1] // 2
    return image[top : top + shape[0], left : left + shape[1]]
