"""Synthetic abdominal CT in KiTS19's layout."""

from __future__ import annotations

from nephro_monai.phantom.cohort import CohortConfig, generate_cohort
from nephro_monai.phantom.config import PhantomConfig
from nephro_monai.phantom.generate import PhantomCase, generate_case
from nephro_monai.phantom.parameters import Parameters, read_parameters
from nephro_monai.phantom.rand_synthesize import RandSynthesizeCTd, plain_surroundings, surroundings_of_labels
from nephro_monai.phantom.synthesis import CTSynthesis
from nephro_monai.phantom.synthesis_settings import AcquisitionRanges, MassRanges, SynthesisSettings
from nephro_monai.phantom.tissues import LABEL_OF_TISSUE, Tissue

__all__ = [
    "LABEL_OF_TISSUE",
    "AcquisitionRanges",
    "CTSynthesis",
    "CohortConfig",
    "MassRanges",
    "Parameters",
    "PhantomCase",
    "PhantomConfig",
    "RandSynthesizeCTd",
    "SynthesisSettings",
    "Tissue",
    "generate_case",
    "generate_cohort",
    "plain_surroundings",
    "read_parameters",
    "surroundings_of_labels",
]
