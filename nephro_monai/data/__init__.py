"""Datasets in KiTS19 layout, patient-grouped splits, and what training cuts from them."""

from __future__ import annotations

from nephro_monai.data.kidney_crops import CropSettings, cut_kidney_crops
from nephro_monai.data.kits19 import list_training_cases
from nephro_monai.data.reproducible import EpochSampler, ReproducibleDataset
from nephro_monai.data.splits import Split, split_cases
from nephro_monai.data.tissue_slices import TissueSliceSettings, cut_tissue_slices, tissue_fractions
from nephro_monai.data.tumor_slices import balanced_class_weights, cut_tumor_slices

__all__ = [
    "CropSettings",
    "EpochSampler",
    "ReproducibleDataset",
    "Split",
    "TissueSliceSettings",
    "balanced_class_weights",
    "cut_kidney_crops",
    "cut_tissue_slices",
    "cut_tumor_slices",
    "list_training_cases",
    "split_cases",
    "tissue_fractions",
]
