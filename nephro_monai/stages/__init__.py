"""The steps of the journey that run a network."""

from __future__ import annotations

from nephro_monai.stages.classify import ClassifySlicesd
from nephro_monai.stages.colorize import (
    ColorizeSlicesd,
    GrayColorizer,
    LearnedColorizer,
    ThreeWindowColorizer,
    colorize_slices,
    window_slices,
)
from nephro_monai.stages.localize import LocalizeKidneysd
from nephro_monai.stages.segment import KidneyTumorInferer, SegmentKidneyTumord, SegmentSettings

__all__ = [
    "ClassifySlicesd",
    "ColorizeSlicesd",
    "GrayColorizer",
    "KidneyTumorInferer",
    "LearnedColorizer",
    "LocalizeKidneysd",
    "SegmentKidneyTumord",
    "SegmentSettings",
    "ThreeWindowColorizer",
    "colorize_slices",
    "window_slices",
]
