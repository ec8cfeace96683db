"""How V-Net's stage brings a kidney box before the network and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nephro_monai.constants import SEGMENTATION_WINDOW_HU

__all__ = ["SegmentSettings", "SimpleCysts", "View", "views_of"]


@dataclass(frozen=True)
class SimpleCysts:
    """What is called tumor and is a simple cyst by its HU, and so kidney in KiTS19's labels.

    Homogeneous fluid of -9 to 20 HU in a kidney is a simple cyst (Bosniak classification, version 2019; Silverman 2019,
    Radiology 292:475), after contrast as well as before. Here it is asked after contrast only, where tissue enhances.

    Attributes:
        hu: Smallest and largest mean of its inner voxels at the working spacing.
        largest_deviation_hu: Largest standard deviation of them, noise included.
        contrast_above_hu: Median of the kidney beside it from which the scan has contrast agent.
    """

    hu: tuple[float, float] = (-10.0, 20.0)
    largest_deviation_hu: float = 30.0
    contrast_above_hu: float = 52.0


@dataclass(frozen=True)
class View:
    """One way in which a scan is shown to the network.

    Attributes:
        scale: Multiple of the working spacing, 0.5 to 2: below 1 the scan is sampled finer, and all in it looks larger.
        mirror: Whether windows are mirrored left to right.
    """

    scale: float = 1.0
    mirror: bool = False

    def __post_init__(self) -> None:
        """Checks what a configuration may have got wrong."""
        if isinstance(self.scale, bool) or not isinstance(self.scale, int | float) or not 0.5 <= self.scale <= 2:
            raise ValueError(f"the scale of a view is a multiple of the spacing, 0.5 to 2; got {self.scale!r}")
        if not isinstance(self.mirror, bool):
            raise ValueError(f"mirror of a view is true or false; got {self.mirror!r}")


def views_of(pairs: Sequence[tuple[float, bool]]) -> tuple[View, ...]:
    """`[[1.0, false], [0.88, true]]` of a configuration as views: scale and mirror of each.

    Raises:
        ValueError: If it is something else.
    """
    try:
        chosen = [(scale, mirror) for scale, mirror in pairs]
    except (TypeError, ValueError):
        raise ValueError(f"views are a list of [scale, mirror], such as [[1.0, false]]; got {pairs!r}") from None
    return tuple(View(scale, mirror) for scale, mirror in chosen)


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
            several networks that of the first one's settings, after all have said where kidney and tumor are.
        simple_cysts: By which HU a tumor is a simple cyst, which becomes kidney; None asks no HU. With several networks
            that of the first one's settings.
        loss_weights: Class weights of the training's loss. Their logarithms are taken off the logits, so that what made
            tumors worth more in training does not make them larger here (logit adjustment, Menon 2021,
            arXiv 2007.07314).
        views: Ways in which the scan is shown to the network (test-time augmentation); class probabilities are averaged
            at `spacing_mm`. Each takes its time: one at scale 0.8 twice that of scale 1.
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
    simple_cysts: SimpleCysts | None = None
    loss_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    views: tuple[View, ...] = (View(),)
    bfloat16: bool | None = None

    def __post_init__(self) -> None:
        """Checks what a configuration may have got wrong, before the first scan is read."""
        bound = self.least_tumor_confidence
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not 0 <= bound <= 1:
            raise ValueError(f"least_tumor_confidence is a mean probability, 0 to 1; got {bound!r}")
        if not self.views or not all(isinstance(view, View) for view in self.views):
            raise ValueError(f"views are at least one View(scale, mirror); got {self.views!r}")
