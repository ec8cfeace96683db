"""Pure functions on arrays, boxes, components and resampling."""

from __future__ import annotations

from nephro_monai.geometry.axial import axial_box_to_volume, axial_to_volume, volume_to_axial
from nephro_monai.geometry.axial_stack import AxialStack, StackGrid, sample_axial_stack, stack_label_map
from nephro_monai.geometry.components import (
    Components,
    find_components,
    foreground_box,
    keep_largest_component,
    largest_components,
)
from nephro_monai.geometry.intensity import window_to_unit
from nephro_monai.geometry.measurements import (
    body_midline_x,
    find_tumors,
    largest_diameter_mm,
    measure_kidneys,
    measure_tumors,
    shape_statistics,
    spacing_mm,
)
from nephro_monai.geometry.resampling import resample_to_shape, resampled_shape, resampled_slices
from nephro_monai.geometry.tumor_slices import (
    TumorCropSettings,
    TumorSlice,
    crop_tumor_slices,
    sample_axial_crops,
    select_tumor_slices,
    tumor_slice_crops,
)

__all__ = [
    "AxialStack",
    "Components",
    "StackGrid",
    "TumorCropSettings",
    "TumorSlice",
    "axial_box_to_volume",
    "axial_to_volume",
    "body_midline_x",
    "crop_tumor_slices",
    "find_components",
    "find_tumors",
    "foreground_box",
    "keep_largest_component",
    "largest_components",
    "largest_diameter_mm",
    "measure_kidneys",
    "measure_tumors",
    "resample_to_shape",
    "resampled_shape",
    "resampled_slices",
    "sample_axial_crops",
    "sample_axial_stack",
    "select_tumor_slices",
    "shape_statistics",
    "spacing_mm",
    "stack_label_map",
    "tumor_slice_crops",
    "volume_to_axial",
    "window_to_unit",
]
