"""How V-Net's stage brings a kidney box before the network and back."""

from __future__ import annotations

from dataclasses import dataclass

from nephro_monai.constants import SEGMENTATION_WINDOW_HU

__all__ = ["SegmentSettings"]


@dataclass(frozen=True)
class SegmentSettings:
    """How a box is brought before the network and back.

    Attributes:
        spacing_mm: The network's working spacing along x, y, z.
        window_hu: Scaled to -1..1, as in training.
        roi_size: Windows of the network; the patch size of the training, since zero padding at the borders of the
            deepest stages is part of what the network has learned.
        overlap: Of neighboring windows, as a share.
        batch_size: Windows per pass.
        smallest_kidney_ml: A region below this is no kidney.
        smallest_tumor_ml: A piece of tumor below this (0.5 ml is a sphere of 10 mm) becomes kidney; 0 keeps all.
        least_tumor_confidence: A tumor whose voxels have a lower mean probability of tumor is none; 0 keeps all. With
            several networks that of the first one's settings, on their mean.
        loss_weights: Class weights of the training's loss. Their logarithms are taken off the logits, so that what made
            tumors worth more in training does not make them larger here (logit adjustment, Menon 2021,
            arXiv 2007.07314).
        mirror: Average the logits with those of windows mirrored left to right (test-time flip), in twice the time.
        bfloat16: None uses bfloat16 where the hardware has it; True or False decides by hand.
    """

    spacing_mm: tuple[float, float, float] = (2.0, 2.0, 3.0)
    window_hu: tuple[float, float] = SEGMENTATION_WINDOW_HU
    roi_size: tuple[int, int, int] = (64, 64, 32)
    overlap: float = 0.5
    batch_size: int = 2
    smallest_kidney_ml: float = 2.0
    smallest_tumor_ml: float = 0.5
    least_tumor_confidence: float = 0.0
    loss_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    mirror: bool = False
    bfloat16: bool | None = None
