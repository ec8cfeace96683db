"""What a voxel of the synthetic CT is made of, and the contrast phases."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Literal

import numpy as np

from nephro_monai.constants import BACKGROUND, KIDNEY, TUMOR

__all__ = ["LABEL_OF_TISSUE", "PHASES", "Phase", "Tissue"]

Phase = Literal["none", "arterial", "nephrographic", "excretory"]
PHASES: Final[tuple[Phase, ...]] = ("none", "arterial", "nephrographic", "excretory")


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
