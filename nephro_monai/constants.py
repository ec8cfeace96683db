"""Labels, HU windows and dictionary keys that every room shares."""

from __future__ import annotations

from typing import Final

__all__ = [
    "AXIAL_AXCODES",
    "BACKGROUND",
    "CLASS_NAMES",
    "COLORIZATION_WINDOW_HU",
    "CYST",
    "DETECTION_WINDOW_HU",
    "DISCLAIMER",
    "HU_RANGE",
    "KIDNEY",
    "LABEL_NAMES",
    "SCAN_AXCODES",
    "SEGMENTATION_WINDOW_HU",
    "SLICE_CLASS_NAMES",
    "SYNTHETIC_NOTICE",
    "TUMOR",
]

BACKGROUND: Final = 0
KIDNEY: Final = 1
TUMOR: Final = 2
LABEL_NAMES: Final[dict[int, str]] = {BACKGROUND: "background", KIDNEY: "kidney", TUMOR: "tumor"}

CYST: Final = 3
"""Class of a segmentation network that tells simple cysts from the kidney they belong to; never in a label map that is
written, where a cyst is kidney, as in KiTS19."""

CLASS_NAMES: Final[tuple[str, str]] = ("benign", "malignant")
"""Slice classes, in the order of the classifier's outputs."""

SLICE_CLASS_NAMES: Final[tuple[str, str, str]] = (*CLASS_NAMES, "normal")
"""Classes of any slice through a kidney, in the order of SCNet's outputs; normal = no tumor, or a speck of one."""

HU_RANGE: Final[tuple[float, float]] = (-1024.0, 3071.0)
"""What a 12-bit CT can hold; values beyond it are artifacts and are clipped where a stage asks for it."""

DETECTION_WINDOW_HU: Final[tuple[float, float]] = (-60.0, 300.0)
"""Kamkova 2019, section 3.1."""

SEGMENTATION_WINDOW_HU: Final[tuple[float, float]] = (-160.0, 340.0)
"""Wider than Kamkova's -60..300, so that the fat in angiomyolipomas and bright arterial cortex stay visible."""

COLORIZATION_WINDOW_HU: Final[tuple[float, float]] = (-140.0, 260.0)
"""Center 60, width 400 (Obuchowski, ColorNephroNet)."""

SCAN_AXCODES: Final = "RAS"
"""Orientation of every volume between reading and writing."""

AXIAL_AXCODES: Final = "LPS"
"""Axial slices for 2-D networks: columns to the patient's left, rows to posterior."""

DISCLAIMER: Final = "Research software, not for clinical use."

SYNTHETIC_NOTICE: Final = "The networks were trained on synthetic CT only; no real scan was seen in training."
