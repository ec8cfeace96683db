"""Pure functions on arrays, boxes, components and resampling."""

from __future__ import annotations

from nephro_monai.geometry.axial import axial_box_to_volume, axial_to_volume, volume_to_axial
from nephro_monai.geometry.intensity import window_to_unit
from nephro_monai.geometry.resampling import resample_to_shape, resampled_shape

__all__ = ["axial_box_to_volume", "axial_to_volume", "resample_to_shape", "resampled_shape", "volume_to_axial",
    "window_to_unit",
]
