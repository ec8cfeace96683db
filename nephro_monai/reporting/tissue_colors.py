"""Colors of the phantom's tissues in pictures, and what their legend says."""

from __future__ import annotations

from typing import Final

import numpy as np
from matplotlib.colors import to_rgb

from nephro_monai.phantom import Tissue

__all__ = ["TISSUE_COLORS", "TISSUE_GROUPS", "paint_tissues"]

TISSUE_GROUPS: Final[dict[str, tuple[str, tuple[Tissue, ...]]]] = {
    "fat": ("#4a4436", (Tissue.SUBCUTANEOUS_FAT, Tissue.VISCERAL_FAT, Tissue.FASCIA)),
    "sinus fat": ("#7a6a3a", (Tissue.SINUS_FAT,)),
    "skin": ("#c8a48c", (Tissue.SKIN,)),
    "muscle": ("#8c4a46", (Tissue.MUSCLE,)),
    "bone": ("#efe9d8", (Tissue.CORTICAL_BONE, Tissue.VASCULAR_CALCIFICATION)),
    "trabecular bone, disc": ("#bfb8a4", (Tissue.TRABECULAR_BONE, Tissue.DISC)),
    "spinal canal": ("#8fa3b8", (Tissue.SPINAL_CANAL,)),
    "kidney cortex": ("#22d3ee", (Tissue.KIDNEY_CORTEX,)),
    "kidney medulla": ("#1187a8", (Tissue.KIDNEY_MEDULLA,)),
    "kidney cyst": ("#b6f3ff", (Tissue.KIDNEY_CYST,)),
    "collecting system": ("#fff27a", (Tissue.COLLECTING_SYSTEM,)),
    "tumor, solid": ("#ff4d4d", (Tissue.TUMOR_SOLID,)),
    "tumor necrosis": ("#8a1f3d", (Tissue.TUMOR_NECROSIS,)),
    "tumor scar": ("#ff9ecb", (Tissue.TUMOR_SCAR,)),
    "tumor fat": ("#ffb347", (Tissue.TUMOR_FAT,)),
    "tumor calcification": ("#ffffff", (Tissue.TUMOR_CALCIFICATION,)),
    "liver": ("#a4703f", (Tissue.LIVER,)),
    "spleen": ("#9a5fb4", (Tissue.SPLEEN,)),
    "pancreas, adrenals": ("#d9a441", (Tissue.PANCREAS, Tissue.ADRENAL)),
    "gallbladder": ("#5f9e3f", (Tissue.GALLBLADDER,)),
    "stomach and bowel wall": ("#c9847a", (Tissue.STOMACH_WALL, Tissue.BOWEL_WALL)),
    "stomach and bowel content": (
        "#6d7f4f",
        (Tissue.STOMACH_CONTENT, Tissue.BOWEL_FLUID, Tissue.BOWEL_FOOD, Tissue.FECES),
    ),
    "oral contrast": ("#e4f0a8", (Tissue.BOWEL_CONTRAST,)),
    "gas, lung": ("#233040", (Tissue.BOWEL_GAS, Tissue.LUNG)),
    "arteries, heart": ("#e0394a", (Tissue.AORTA, Tissue.ARTERY, Tissue.HEART)),
    "veins": ("#3f6fd6", (Tissue.VENA_CAVA, Tissue.VEIN, Tissue.PORTAL_VEIN)),
    "table": ("#5d6670", (Tissue.TABLE,)),
    "metal": ("#ffffff", (Tissue.METAL,)),
    "air": ("#000000", (Tissue.AIR,)),
}
"""Color and tissues by what the legend calls them."""


def _table() -> np.ndarray:
    table = np.zeros((256, 3), np.uint8)
    for color, tissues in TISSUE_GROUPS.values():
        table[list(tissues)] = np.rint(np.array(to_rgb(color)) * 255)
    return table


TISSUE_COLORS: Final = _table()
"""(256, 3) uint8 RGB by tissue id."""


def paint_tissues(tissues: np.ndarray) -> np.ndarray:
    """Tissue ids (rows, columns) as uint8 RGB (rows, columns, 3)."""
    return TISSUE_COLORS[tissues]
