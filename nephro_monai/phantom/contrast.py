"""Contrast phases and the correlated HU of tissues.

The ranges were measured to make networks generalize to real CT; absolute HU with a fixed scale matter.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nephro_monai.phantom.parameters import PARAMETERS, Parameters, Range
from nephro_monai.phantom.tissues import PHASES, Phase, Tissue

__all__ = ["draw_phase", "draw_tissue_hu", "parenchyma_hu"]


def draw_phase(rng: np.random.Generator, parameters: Parameters = PARAMETERS) -> Phase:
    """Draws a contrast phase."""
    return PHASES[int(rng.choice(len(PHASES), p=parameters.phase_shares))]


def draw_tissue_hu(rng: np.random.Generator, phase: Phase, parameters: Parameters = PARAMETERS) -> dict[Tissue, float]:
    """Draws one correlated set of mean HU.

    Vessels share one enhancement, fat compartments one fat, and in all phases but the arterial one the medulla
    follows the cortex: independent draws would teach a network combinations that no patient has.

    Args:
        rng: Source of randomness.
        phase: One of `PHASES`.
        parameters: Ranges.

    Returns:
        Mean HU of every tissue of `tissue_hu`, inside its range; outside the arterial phase the medulla is inside its
        share of the cortex (`medulla_of_cortex`) instead.
    """
    column = PHASES.index(phase)
    table = {tissue: ranges[column] for tissue, ranges in parameters.tissue_hu.items()}
    level = rng.uniform()
    hu: dict[Tissue, float] = {}
    for tissue, (low, high) in table.items():
        hu[tissue] = low + (high - low) * rng.uniform()
    for tissue in (Tissue.AORTA, Tissue.ARTERY, Tissue.SPLEEN, Tissue.PANCREAS, Tissue.HEART):
        _toward(hu, tissue, table[tissue], level, rng)
    venous = rng.uniform()
    for tissue in (Tissue.PORTAL_VEIN, Tissue.VEIN, Tissue.VENA_CAVA, Tissue.LIVER):
        _toward(hu, tissue, table[tissue], venous, rng)
    hu[Tissue.VISCERAL_FAT] = float(
        np.clip(hu[Tissue.SUBCUTANEOUS_FAT] + rng.normal(0, 4), *table[Tissue.VISCERAL_FAT])
    )
    cortex, shares = hu[Tissue.KIDNEY_CORTEX], parameters.medulla_of_cortex
    if phase == "arterial":
        hu[Tissue.KIDNEY_MEDULLA] = float(
            np.clip(cortex * rng.uniform(*shares["arterial"]), *table[Tissue.KIDNEY_MEDULLA])
        )
    else:
        hu[Tissue.KIDNEY_MEDULLA] = cortex * rng.uniform(*shares["later"])
    return hu


def parenchyma_hu(hu: Mapping[Tissue, float]) -> float:
    """Mean HU of a kidney's parenchyma, which tumors are drawn relative to, from those of its cortex and medulla."""
    return 0.6 * hu[Tissue.KIDNEY_CORTEX] + 0.4 * hu[Tissue.KIDNEY_MEDULLA]


def _toward(hu: dict[Tissue, float], tissue: Tissue, bounds: Range, level: float, rng: np.random.Generator) -> None:
    """Pulls a tissue toward a shared enhancement level between 0 and 1 of its own range."""
    low, high = bounds
    share = np.clip(0.7 * level + 0.3 * rng.uniform(), 0, 1)
    hu[tissue] = float(low + (high - low) * share)
