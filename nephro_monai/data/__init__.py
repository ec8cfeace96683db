"""Datasets in KiTS19 layout, patient-grouped splits, and what training cuts from them."""

from __future__ import annotations

from nephro_monai.data.detection_items import RandDetectionItem
from nephro_monai.data.fold_plan import FoldPlan, PlannedFold, named_split, plan_folds, read_fold_plan
from nephro_monai.data.folds import assign_folds, with_folds
from nephro_monai.data.kidney_crops import CropSettings, cut_kidney_crops
from nephro_monai.data.kidney_slices import KidneySliceSettings, class_fold, cut_kidney_slices
from nephro_monai.data.kits19 import list_training_cases
from nephro_monai.data.listed_cases import listed_split
from nephro_monai.data.oversampling import OversamplingSampler, oversampled
from nephro_monai.data.reproducible import EpochSampler, ReproducibleDataset
from nephro_monai.data.segmentation_slices import SliceCutSettings, cut_segmentation_slices
from nephro_monai.data.slice_sequences import patient_sequences, slice_features
from nephro_monai.data.slice_statistics import SliceStatistics, compute_slice_statistics
from nephro_monai.data.splits import Split, split_cases, stratified_fold
from nephro_monai.data.subtypes import SUBTYPE_IS_MALIGNANT, malignancy_of_subtype
from nephro_monai.data.tissue_crops import (
    cut_tissue_crops,
    load_tissue_crops,
    save_tissue_crops,
    tissue_crops_of_folder,
)
from nephro_monai.data.tissue_slab_file import load_tissue_slabs, save_tissue_slabs, tissue_slabs_of_folder
from nephro_monai.data.tissue_slabs import SlabSettings, cut_tissue_slabs
from nephro_monai.data.tissue_slices import TissueSliceSettings, cut_tissue_slices, tissue_fractions
from nephro_monai.data.tumor_slices import balanced_class_weights, cut_tumor_slices
from nephro_monai.data.unpadded_sampler import UnpaddedSampler

__all__ = [
    "SUBTYPE_IS_MALIGNANT",
    "CropSettings",
    "EpochSampler",
    "FoldPlan",
    "KidneySliceSettings",
    "OversamplingSampler",
    "PlannedFold",
    "RandDetectionItem",
    "ReproducibleDataset",
    "SlabSettings",
    "SliceCutSettings",
    "SliceStatistics",
    "Split",
    "TissueSliceSettings",
    "UnpaddedSampler",
    "assign_folds",
    "balanced_class_weights",
    "class_fold",
    "compute_slice_statistics",
    "cut_kidney_crops",
    "cut_kidney_slices",
    "cut_segmentation_slices",
    "cut_tissue_crops",
    "cut_tissue_slabs",
    "cut_tissue_slices",
    "cut_tumor_slices",
    "list_training_cases",
    "listed_split",
    "load_tissue_crops",
    "load_tissue_slabs",
    "malignancy_of_subtype",
    "named_split",
    "oversampled",
    "patient_sequences",
    "plan_folds",
    "read_fold_plan",
    "save_tissue_crops",
    "save_tissue_slabs",
    "slice_features",
    "split_cases",
    "stratified_fold",
    "tissue_crops_of_folder",
    "tissue_fractions",
    "tissue_slabs_of_folder",
    "with_folds",
]
