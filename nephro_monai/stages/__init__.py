"""The steps of the journey that run a network."""

from __future__ import annotations

from nephro_monai.stages.classify import ClassifySlicesd
from nephro_monai.stages.classify_patient import ClassifyPatientd
from nephro_monai.stages.colorize import (
    ColorizeSlicesd,
    GrayColorizer,
    LearnedColorizer,
    ThreeWindowColorizer,
    colorize_slices,
    window_slices,
)
from nephro_monai.stages.explain import ExplainSlicesd
from nephro_monai.stages.localize import LocalizeKidneysd
from nephro_monai.stages.segment import KidneyTumorInferer, SegmentKidneyTumord
from nephro_monai.stages.segment_and_classify import SegmentAndClassifyd, SliceStackInferer, SliceStackSettings
from nephro_monai.stages.segment_settings import SegmentSettings, SimpleCysts, View, views_of
from nephro_monai.stages.two_stage import SegmentTwoStaged, TwoStageSettings
from nephro_monai.stages.two_stage_inferers import KidneySlicesInferer, TwoStageInferer

__all__ = [
    "ClassifyPatientd",
    "ClassifySlicesd",
    "ColorizeSlicesd",
    "ExplainSlicesd",
    "GrayColorizer",
    "KidneySlicesInferer",
    "KidneyTumorInferer",
    "LearnedColorizer",
    "LocalizeKidneysd",
    "SegmentAndClassifyd",
    "SegmentKidneyTumord",
    "SegmentSettings",
    "SegmentTwoStaged",
    "SimpleCysts",
    "SliceStackInferer",
    "SliceStackSettings",
    "ThreeWindowColorizer",
    "TwoStageInferer",
    "TwoStageSettings",
    "View",
    "colorize_slices",
    "views_of",
    "window_slices",
]
