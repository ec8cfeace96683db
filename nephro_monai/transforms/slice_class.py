"""What a slice shows: a benign tumor, a malignant one, or none."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from nephro_monai.constants import SLICE_CLASS_NAMES, TUMOR

__all__ = ["LabelSliceClassd", "slice_class"]


class LabelSliceClassd(MapTransform):
    """Names the class of a slice from its label map and its patient's malignancy (Pan 2019, section III-A).

    Put after the augmentation: what was cut or shifted away is not seen, so the slice is normal.

    Adds to the dictionary:
        slice_class: int, index in `constants.SLICE_CLASS_NAMES`; -1 where a tumor of unknown malignancy is seen.
    """

    def __init__(
        self,
        keys: KeysCollection = "label",
        malignant_key: str = "malignant",
        output_key: str = "slice_class",
        speck_mm2: float = 50.0,
        pixel_mm: float = 1.0,
    ) -> None:
        """Sets what counts as a speck.

        Args:
            keys: Where the label map is (one key).
            malignant_key: Where the patient's malignancy is: True, False or None.
            output_key: Where the class goes.
            speck_mm2: A slice with less tumor is normal.
            pixel_mm: Pixel size of the label map.

        Raises:
            ValueError: If more than one key is given, or a size is not positive.
        """
        super().__init__(keys)
        if len(self.keys) != 1 or speck_mm2 < 0 or pixel_mm <= 0:
            raise ValueError(
                f"LabelSliceClassd needs one key, speck_mm2 >= 0 and pixel_mm > 0, got {self.keys}, {speck_mm2} and "
                f"{pixel_mm}."
            )
        self.malignant_key = malignant_key
        self.output_key = output_key
        self.speck_mm2 = speck_mm2
        self.pixel_mm = pixel_mm

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns the slice with its class."""
        item = dict(data)
        area = float((torch.as_tensor(item[self.keys[0]]) == TUMOR).sum()) * self.pixel_mm**2
        item[self.output_key] = slice_class(area, item.get(self.malignant_key), self.speck_mm2)
        return item


def slice_class(tumor_mm2: float, malignant: bool | None, speck_mm2: float) -> int:
    """Index in `constants.SLICE_CLASS_NAMES` of a slice with so much tumor; -1 if it is not known what tumor."""
    if tumor_mm2 == 0 or tumor_mm2 < speck_mm2:
        return SLICE_CLASS_NAMES.index("normal")
    if malignant is None:
        return -1
    return SLICE_CLASS_NAMES.index("malignant" if malignant else "benign")
