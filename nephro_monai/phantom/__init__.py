"""Synthetic abdominal CT in KiTS19's layout."""

from __future__ import annotations

from nephro_monai.phantom.cohort import CohortConfig, generate_cohort
from nephro_monai.phantom.config import PhantomConfig
from nephro_monai.phantom.generate import PhantomCase, generate_case
from nephro_monai.phantom.tissues import LABEL_OF_TISSUE, Tissue

__all__ = [
    "LABEL_OF_TISSUE",
    "CohortConfig",
    "PhantomCase",
    "PhantomConfig",
    "Tissue",
    "generate_case",
    "generate_cohort",
]
