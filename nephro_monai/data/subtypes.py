"""Which histologic subtypes are malignant."""

from __future__ import annotations

from typing import Final

__all__ = ["SUBTYPE_IS_MALIGNANT", "malignancy_of_subtype"]

SUBTYPE_IS_MALIGNANT: Final[dict[str, bool]] = {
    "clear_cell_rcc": True,
    "papillary": True,
    "chromophobe": True,
    "clear_cell_papillary_rcc": True,
    "multilocular_cystic_rcc": True,
    "rcc_unclassified": True,
    "urothelial": True,
    "wilms": True,
    "oncocytoma": False,
    "angiomyolipoma": False,
    "mest": False,
    "spindle_cell_neoplasm": False,
}
"""By KiTS19's names (`tumor_histologic_subtype` of `kits.json`), the names of all its 210 training cases.

The grouping is ColorNephroNet's (Obuchowski, "Dataset"): ccRCC (`clear_cell_rcc`), chRCC (`chromophobe`), pRCC of
either type (`papillary`) and other malignant tumors against oncocytoma, angiomyolipoma and other benign tumors.
KiTS19's own `malignant` says the same of every case; its benign others are mixed epithelial and stromal tumors
(`mest`) and a spindle cell neoplasm. Multilocular cystic and clear cell papillary tumors count as KiTS19 counts them,
although the WHO classification of 2022 no longer calls them carcinomas."""


def malignancy_of_subtype(subtype: str | None) -> bool | None:
    """True for malignant, False for benign, None for subtypes that are unknown or not given.

    Args:
        subtype: As in `kits.json`, for example "clear_cell_rcc".
    """
    return SUBTYPE_IS_MALIGNANT.get(subtype) if subtype is not None else None
