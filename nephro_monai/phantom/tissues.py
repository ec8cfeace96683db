"""What a voxel of the synthetic CT is made of, and the HU of each tissue per contrast phase.

The ranges were measured to make networks generalize to real CT; absolute HU with a fixed scale matter.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Literal

import numpy as np

from nephro_monai.constants import BACKGROUND, KIDNEY, TUMOR

__all__ = ["LABEL_OF_TISSUE", "PHASES", "PHASE_SHARES", "TISSUE_HU", "Phase", "Tissue", "draw_phase", "draw_tissue_hu"]

Phase = Literal["none", "arterial", "nephrographic", "excretory"]
PHASES: Final[tuple[Phase, ...]] = ("none", "arterial", "nephrographic", "excretory")
PHASE_SHARES: Final[tuple[float, ...]] = (0.10, 0.46, 0.32, 0.12)


class Tissue(IntEnum):
    """Tissue ids of `tissues.nii.gz`; stable, because the colorization network is trained on them."""

    AIR = 0
    SUBCUTANEOUS_FAT = 1
    VISCERAL_FAT = 2
    SKIN = 3
    MUSCLE = 4
    CORTICAL_BONE = 5
    TRABECULAR_BONE = 6
    DISC = 7
    SPINAL_CANAL = 8
    KIDNEY_CORTEX = 9
    KIDNEY_MEDULLA = 10
    KIDNEY_CYST = 11
    COLLECTING_SYSTEM = 12
    SINUS_FAT = 13
    TUMOR_SOLID = 14
    TUMOR_NECROSIS = 15
    TUMOR_SCAR = 16
    TUMOR_FAT = 17
    TUMOR_CALCIFICATION = 18
    LIVER = 19
    SPLEEN = 20
    PANCREAS = 21
    GALLBLADDER = 22
    STOMACH_WALL = 23
    STOMACH_CONTENT = 24
    BOWEL_WALL = 25
    BOWEL_FLUID = 26
    BOWEL_FOOD = 27
    BOWEL_GAS = 28
    BOWEL_CONTRAST = 29
    FECES = 30
    AORTA = 31
    VENA_CAVA = 32
    PORTAL_VEIN = 33
    ARTERY = 34
    VEIN = 35
    ADRENAL = 36
    FASCIA = 37
    LUNG = 38
    HEART = 39
    TABLE = 40
    METAL = 41
    VASCULAR_CALCIFICATION = 42


LABEL_OF_TISSUE: Final = np.zeros(256, np.uint8)
"""KiTS19 label of each tissue id: the label map is a table look-up, so the two can never disagree."""
LABEL_OF_TISSUE[:] = BACKGROUND
LABEL_OF_TISSUE[[Tissue.KIDNEY_CORTEX, Tissue.KIDNEY_MEDULLA, Tissue.KIDNEY_CYST]] = KIDNEY
LABEL_OF_TISSUE[
    [Tissue.TUMOR_SOLID, Tissue.TUMOR_NECROSIS, Tissue.TUMOR_SCAR, Tissue.TUMOR_FAT, Tissue.TUMOR_CALCIFICATION]
] = TUMOR

_Range = tuple[float, float]
_FAT: Final[_Range] = (-125.0, -75.0)


def _every(low: float, high: float) -> tuple[_Range, _Range, _Range, _Range]:
    return (low, high), (low, high), (low, high), (low, high)


TISSUE_HU: Final[dict[Tissue, tuple[_Range, _Range, _Range, _Range]]] = {
    Tissue.AIR: _every(-1000, -1000),
    Tissue.SUBCUTANEOUS_FAT: _every(*_FAT),
    Tissue.VISCERAL_FAT: _every(*_FAT),
    Tissue.SKIN: _every(-40, 60),
    Tissue.MUSCLE: ((30, 65), (40, 75), (45, 80), (40, 75)),
    Tissue.CORTICAL_BONE: _every(220, 900),
    Tissue.TRABECULAR_BONE: _every(90, 320),
    Tissue.DISC: _every(60, 130),
    Tissue.SPINAL_CANAL: _every(5, 50),
    Tissue.KIDNEY_CORTEX: ((22, 48), (95, 260), (110, 230), (80, 180)),
    Tissue.KIDNEY_MEDULLA: ((18, 49), (45, 130), (93, 235), (68, 184)),
    Tissue.KIDNEY_CYST: _every(-6, 22),
    Tissue.COLLECTING_SYSTEM: ((-5, 25), (-5, 30), (-5, 30), (150, 1200)),
    Tissue.SINUS_FAT: _every(-115, -40),
    Tissue.LIVER: ((15, 70), (40, 100), (65, 140), (55, 115)),
    Tissue.SPLEEN: ((38, 58), (70, 180), (85, 150), (65, 125)),
    Tissue.PANCREAS: ((15, 45), (50, 130), (60, 120), (45, 95)),
    Tissue.GALLBLADDER: _every(-2, 25),
    Tissue.STOMACH_WALL: ((20, 50), (40, 120), (45, 110), (35, 95)),
    Tissue.STOMACH_CONTENT: _every(-5, 70),
    Tissue.BOWEL_WALL: ((15, 50), (30, 140), (40, 130), (30, 100)),
    Tissue.BOWEL_FLUID: _every(-5, 45),
    Tissue.BOWEL_FOOD: _every(25, 90),
    Tissue.BOWEL_GAS: _every(-1000, -300),
    Tissue.BOWEL_CONTRAST: _every(150, 600),
    Tissue.FECES: _every(-120, 60),
    Tissue.AORTA: ((28, 52), (150, 460), (110, 200), (80, 150)),
    Tissue.VENA_CAVA: ((28, 52), (40, 170), (90, 190), (80, 150)),
    Tissue.PORTAL_VEIN: ((30, 45), (60, 180), (110, 200), (80, 140)),
    Tissue.ARTERY: ((28, 52), (130, 430), (100, 190), (80, 150)),
    Tissue.VEIN: ((28, 52), (50, 190), (90, 190), (80, 150)),
    Tissue.ADRENAL: ((10, 45), (40, 100), (45, 95), (35, 80)),
    Tissue.FASCIA: _every(-60, 20),
    Tissue.LUNG: _every(-900, -650),
    Tissue.HEART: ((30, 55), (90, 250), (90, 170), (70, 130)),
    Tissue.TABLE: _every(-250, 150),
    Tissue.METAL: _every(2000, 3000),
    Tissue.VASCULAR_CALCIFICATION: _every(350, 900),
}
"""(low, high) HU of each tissue in the phases none, arterial, nephrographic, excretory, before texture and noise."""


def draw_phase(rng: np.random.Generator) -> Phase:
    """Draws a contrast phase with `PHASE_SHARES`."""
    return PHASES[int(rng.choice(len(PHASES), p=PHASE_SHARES))]


def draw_tissue_hu(rng: np.random.Generator, phase: Phase) -> dict[Tissue, float]:
    """Draws one correlated set of mean HU.

    Vessels share one enhancement, fat compartments one fat, and in all phases but the arterial one the medulla
    follows the cortex: independent draws would teach a network combinations that no patient has.

    Args:
        rng: Source of randomness.
        phase: One of `PHASES`.

    Returns:
        Mean HU of every tissue of `TISSUE_HU`, inside its range.
    """
    column = PHASES.index(phase)
    level = rng.uniform()
    hu: dict[Tissue, float] = {}
    for tissue, ranges in TISSUE_HU.items():
        low, high = ranges[column]
        hu[tissue] = low + (high - low) * rng.uniform()
    for tissue in (Tissue.AORTA, Tissue.ARTERY, Tissue.SPLEEN, Tissue.PANCREAS, Tissue.HEART):
        _toward(hu, tissue, column, level, rng)
    venous = rng.uniform()
    for tissue in (Tissue.PORTAL_VEIN, Tissue.VEIN, Tissue.VENA_CAVA, Tissue.LIVER):
        _toward(hu, tissue, column, venous, rng)
    hu[Tissue.VISCERAL_FAT] = float(np.clip(hu[Tissue.SUBCUTANEOUS_FAT] + rng.normal(0, 4), *_FAT))
    cortex = hu[Tissue.KIDNEY_CORTEX]
    if phase == "arterial":
        hu[Tissue.KIDNEY_MEDULLA] = float(np.clip(cortex * rng.uniform(0.35, 0.8), 45, 130))
    else:
        hu[Tissue.KIDNEY_MEDULLA] = cortex * rng.uniform(0.85, 1.02)
    return hu


def _toward(hu: dict[Tissue, float], tissue: Tissue, column: int, level: float, rng: np.random.Generator) -> None:
    """Pulls a tissue toward a shared enhancement level between 0 and 1 of its own range."""
    low, high = TISSUE_HU[tissue][column]
    share = np.clip(0.7 * level + 0.3 * rng.uniform(), 0, 1)
    hu[tissue] = float(low + (high - low) * share)
