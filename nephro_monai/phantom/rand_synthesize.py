"""`RandSynthesizeCTd`: a label map becomes a CT on the fly."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any, Final, Literal

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, RandomizableTransform
from torch.nn import functional

from nephro_monai.constants import KIDNEY, LABEL_NAMES, TUMOR
from nephro_monai.phantom.config import MALIGNANT_SUBTYPES
from nephro_monai.phantom.synthesis import CTSynthesis, SynthesizedPatches
from nephro_monai.phantom.synthesis_fields import Spacing, smooth_fields, uniform
from nephro_monai.phantom.synthesis_masses import KIDNEY_TISSUES, TUMOR_TISSUES
from nephro_monai.phantom.synthesis_settings import SynthesisSettings
from nephro_monai.phantom.tissues import Tissue

__all__ = ["RandSynthesizeCTd", "plain_surroundings", "surroundings_of_labels"]

_AROUND: Final = (
    Tissue.LIVER, Tissue.SPLEEN, Tissue.PANCREAS, Tissue.MUSCLE, Tissue.BOWEL_WALL, Tissue.BOWEL_FLUID,
    Tissue.BOWEL_FOOD, Tissue.BOWEL_GAS, Tissue.FECES, Tissue.STOMACH_CONTENT, Tissue.VENA_CAVA, Tissue.AORTA,
    Tissue.TRABECULAR_BONE,
)  # fmt: skip
"""What may lie around a kidney of which only the outline is known."""
_REGIONS = 6
_PLAIN: Final = (
    *KIDNEY_TISSUES, *TUMOR_TISSUES, Tissue.COLLECTING_SYSTEM, Tissue.SINUS_FAT, Tissue.AIR, Tissue.SUBCUTANEOUS_FAT,
    Tissue.VISCERAL_FAT,
)  # fmt: skip


class RandSynthesizeCTd(RandomizableTransform, MapTransform):
    """Turns a map of tissues, or of KiTS19's labels, into a random CT with its label map.

    What is drawn is `CTSynthesis`'s: tumors and cysts put in, contrast phase, correlated HU, texture, scanner. With
    `set_random_state` (or in `ReproducibleDataset`) the same state gives the same CT; torch's own generators are left
    as they were.

    Adds to the dictionary, beside the CT and its labels:
        malignant: Whether the tumor that was drawn is malignant; None without one. A case's own is replaced: the tumor
            has a look, and so a subtype, of its own.
        subtype: Its histologic subtype by KiTS19's name; "" without one.

    Args:
        keys: Key of the map, (1, X, Y, Z) integers in R-A-S axes; one key. Kept in the dictionary.
        kind: "tissues" (ids of `Tissue`, as `nephro phantom --tissues` writes) or "labels" (0 background, 1 kidney,
            2 tumor; `surroundings_of_labels` makes up the rest).
        image_key: Gets the CT, float32 HU (1, X, Y, Z).
        label_key: Gets the labels, uint8 (1, X, Y, Z) with 0/1/2, tumors that were put in included.
        settings: Bounds of what is drawn. The spacing of a `MetaTensor` replaces `settings.spacing_mm`.
        prob: How often; otherwise the dictionary stays as it is.
        allow_missing_keys: Whether dictionaries without the key pass unchanged.

    Raises:
        ValueError: If several keys or an unknown kind are given.
    """

    def __init__(
        self,
        keys: KeysCollection,
        kind: Literal["tissues", "labels"] = "tissues",
        image_key: str = "image",
        label_key: str = "label",
        settings: SynthesisSettings | None = None,
        prob: float = 1.0,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        if len(self.keys) != 1:
            raise ValueError(f"RandSynthesizeCTd makes one CT of one map; give one key, got {list(self.keys)}.")
        if kind not in ("tissues", "labels"):
            raise ValueError(f"kind must be 'tissues' or 'labels', got {kind!r}.")
        self.kind = kind
        self.image_key = image_key
        self.label_key = label_key
        self.settings = settings or SynthesisSettings()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The dictionary with a CT and its labels."""
        result = dict(data)
        self.randomize(None)
        seed = int(self.R.randint(2**31 - 1))
        if not self._do_transform:
            return result
        for key in self.key_iterator(result):
            given = result[key]
            made = self._made(torch.as_tensor(np.asarray(given) if isinstance(given, list) else given), seed)
            hu, label, subtype = made.hu[0], made.label[0], made.subtypes[0]
            if isinstance(given, MetaTensor):
                hu, label = (MetaTensor(part, meta=dict(given.meta)) for part in (hu, label))
            result[self.image_key], result[self.label_key] = hu, label
            result["malignant"], result["subtype"] = subtype in MALIGNANT_SUBTYPES if subtype else None, subtype
        return result

    def _made(self, given: torch.Tensor, seed: int) -> SynthesizedPatches:
        if given.ndim != 4 or given.shape[0] != 1:
            raise ValueError(f"RandSynthesizeCTd takes a map (1, X, Y, Z), got {tuple(given.shape)}.")
        settings = self.settings
        if isinstance(given, MetaTensor):
            x, y, z = (float(s) for s in given.pixdim[:3])
            settings = replace(settings, spacing_mm=(x, y, z))
            given = given.as_tensor()
        maps = given[None].to(torch.uint8)
        if not torch.equal(maps.double(), given[None].double()):
            raise ValueError("A map holds whole numbers 0..255; this one holds others.")
        if self.kind == "tissues" and int(maps.max()) > max(Tissue):
            raise ValueError(
                f"A map of tissues holds ids of Tissue, up to {int(max(Tissue))}; this one holds {int(maps.max())}. "
                'Maps of 0 background, 1 kidney, 2 tumor are kind="labels".'
            )
        devices = [maps.device] if maps.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            if self.kind == "labels":
                maps = surroundings_of_labels(maps[:, 0], settings.spacing_mm)[:, None]
            return CTSynthesis(settings).to(maps.device).draw(maps)


def plain_surroundings(tissues: torch.Tensor) -> torch.Tensor:
    """Takes away what could be mistaken for a kidney: around kidneys and tumors stay fat, air and one soft tissue.

    For comparisons: how much the whole abdomen is worth.

    Args:
        tissues: uint8 of `Tissue` ids, any shape.
    """
    table = torch.full((256,), int(Tissue.MUSCLE), dtype=torch.uint8)
    for tissue in _PLAIN:
        table[tissue] = tissue
    return table.to(tissues.device)[tissues.int()]


def surroundings_of_labels(labels: torch.Tensor, spacing: Spacing) -> torch.Tensor:
    """Makes up tissues for maps that name only kidneys and tumors.

    Kidneys get a cortex of 4-9 mm and septa between pyramids, then up to 14 mm of fat around them. The rest is parted
    by smooth random fields among fat and six of liver, spleen, pancreas, muscle, bowel, vessels and bone: no anatomy,
    but HU and borders as a kidney may meet (Billot et al., SynthSeg, 2021). Maps with real surroundings teach more.

    Args:
        labels: (B, X, Y, Z) uint8 with 0 background, 1 kidney, 2 tumor.
        spacing: Of the voxels in mm.

    Returns:
        (B, X, Y, Z) uint8 of `Tissue` ids.

    Raises:
        ValueError: If other labels occur.
    """
    highest = int(labels.max()) if labels.numel() else 0
    if highest > max(LABEL_NAMES):
        raise ValueError(
            f"Labels are 0 background, 1 kidney, 2 tumor; this map holds {highest}. Map others to these, or give a map "
            "of tissues with kind 'tissues'."
        )
    device, shape = labels.device, labels.shape[1:]
    made = []
    for label in labels:
        scale = float(uniform((), 25, 70))
        fields = smooth_fields(_REGIONS + 1, shape, spacing, scale, device)
        fields[0] += float(uniform((), 0, 1.2))
        chosen = torch.randperm(len(_AROUND))[:_REGIONS]
        ids = torch.tensor([Tissue.VISCERAL_FAT, *(_AROUND[i] for i in chosen)], dtype=torch.uint8)
        tissues = ids.to(device)[fields.argmax(0)]
        organ = label > 0
        tissues[_share_around(organ, float(uniform((), 2, 14)), spacing) > float(uniform((), 0.03, 0.2))] = (
            Tissue.VISCERAL_FAT
        )
        septum = smooth_fields(1, shape, spacing, float(uniform((), 13, 20)), device)[0]
        shell = _share_around(organ, float(uniform((), 4, 9)), spacing) < 0.97
        cortex = shell | (septum > float(uniform((), -0.1, 0.8)))
        kidney = label == KIDNEY
        tissues[kidney] = Tissue.KIDNEY_MEDULLA
        tissues[kidney & cortex] = Tissue.KIDNEY_CORTEX
        tissues[label == TUMOR] = Tissue.TUMOR_SOLID
        made.append(tissues)
    return torch.stack(made)


def _share_around(mask: torch.Tensor, reach_mm: float, spacing: Spacing) -> torch.Tensor:
    """Share of a mask in the box of `reach_mm` to every side of each voxel."""
    reach = [max(1, round(reach_mm / s)) for s in spacing]
    share = mask[None, None].float()
    for axis, r in enumerate(reach):
        kernel, pads = [1, 1, 1], [0] * 6
        kernel[axis] = 2 * r + 1
        pads[2 * (2 - axis)] = pads[2 * (2 - axis) + 1] = r
        share = functional.avg_pool3d(functional.pad(share, pads), kernel, stride=1)  # its own padding needs long axes
    return share[0, 0]
