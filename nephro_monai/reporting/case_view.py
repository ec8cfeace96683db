"""A finished case dictionary as figures and the report page read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from nephro_monai.constants import KIDNEY, TUMOR
from nephro_monai.geometry import volume_to_axial
from nephro_monai.structures import Box, Diagnosis, Kidney, Scan, SliceVote, Tumor

__all__ = ["CaseView"]

_REQUIRED = ("image", "segmentation", "scan", "diagnosis")


@dataclass(frozen=True)
class CaseView:
    """One case, checked, on the CPU, without metadata-carrying tensors.

    Attributes:
        name: Name of the case.
        image: (1, X, Y, Z) HU, axes R-A-S.
        labels: (1, X, Y, Z) uint8, 0 background, 1 kidney, 2 tumor.
        affine: 4x4 voxel-to-RAS-mm matrix.
        scan: Where the volume came from.
        diagnosis: The verdict and its evidence.
        boxes: Kidney boxes of the localizer.
        localization: What the localizer reports of itself ("found", "fallback", "note", "detections").
        kidneys: Outlined kidneys.
        tumors: Outlined tumors, largest first.
        votes: One per tumor slice.
        crops: (S, 1, rows, columns) HU around the tumor, one per vote; S may be 0.
        colors: (S, 3, rows, columns) RGB in 0..1, one per vote; S may be 0.
        maps: (S, 1, rows, columns) in 0..1, where the classifier looked, one per vote; S may be 0.
        seconds: Time per stage, where it is known.
        warnings: Where the scan lies outside of what the networks were trained on, in sentences.
    """

    name: str
    image: torch.Tensor
    labels: torch.Tensor
    affine: np.ndarray
    scan: Scan
    diagnosis: Diagnosis
    boxes: tuple[Box, ...] = ()
    localization: Mapping[str, Any] = field(default_factory=dict)
    kidneys: tuple[Kidney, ...] = ()
    tumors: tuple[Tumor, ...] = ()
    votes: tuple[SliceVote, ...] = ()
    crops: torch.Tensor = field(default_factory=lambda: torch.zeros(0, 1, 1, 1))
    colors: torch.Tensor = field(default_factory=lambda: torch.zeros(0, 3, 1, 1))
    maps: torch.Tensor = field(default_factory=lambda: torch.zeros(0, 1, 1, 1))
    seconds: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @classmethod
    def from_case(cls, data: Mapping[str, Any]) -> CaseView:
        """Reads a case dictionary.

        Args:
            data: The case after `VoteMalignancyd`. The keys of a classifier (`tumor_slices`, `slice_votes`,
                `colorized_slices`, `slice_maps`), of a localizer (`kidneys`, `localization`), `seconds` and `warnings`
                may be absent.

        Raises:
            ValueError: If a key is missing, or arrays that belong together differ in shape or count.
        """
        missing = [key for key in _REQUIRED if key not in data]
        if missing:
            raise ValueError(f"A report needs the keys {', '.join(_REQUIRED)}; the case lacks {', '.join(missing)}.")
        votes = tuple(data.get("slice_votes", ()))
        view = cls(
            name=str(data.get("case", "case")), image=_plain(data["image"]), labels=_plain(data["segmentation"]),
            affine=np.asarray(getattr(data["image"], "affine", np.eye(4)), dtype=float), scan=data["scan"],
            diagnosis=data["diagnosis"], boxes=tuple(data.get("kidneys", ())),
            localization=dict(data.get("localization", {})), kidneys=tuple(data.get("kidney_findings", ())),
            tumors=tuple(data.get("tumors", ())), votes=votes,
            crops=_plain(data.get("tumor_slices", torch.zeros(0, 1, 1, 1))),
            colors=_plain(data.get("colorized_slices", torch.zeros(0, 3, 1, 1))),
            maps=_plain(data.get("slice_maps", torch.zeros(0, 1, 1, 1))),
            seconds=dict(data.get("seconds", {})), warnings=tuple(data.get("warnings", ())),
        )  # fmt: skip
        view._check()
        return view

    def _check(self) -> None:
        if self.image.ndim != 4 or self.image.shape != self.labels.shape:
            raise ValueError(
                f"Image and segmentation must both be (1, X, Y, Z), got {tuple(self.image.shape)} "
                f"and {tuple(self.labels.shape)}."
            )
        for key, pictures in (
            ("tumor_slices", self.crops),
            ("colorized_slices", self.colors),
            ("slice_maps", self.maps),
        ):
            if len(pictures) not in (0, len(self.votes)):
                raise ValueError(f"{key} holds {len(pictures)} slices for {len(self.votes)} votes; give one per vote.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels to right, anterior, superior."""
        x, y, z = self.image.shape[1:]
        return int(x), int(y), int(z)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along the same axes."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    def position_mm(self, z: int) -> float:
        """World z (RAS) of the middle of axial slice `z`."""
        x, y = (self.shape[0] - 1) / 2, (self.shape[1] - 1) / 2
        return float(self.affine[2] @ (x, y, z, 1.0))

    def native_index(self, z: int) -> int:
        """Axial slice `z` counted along the file's own axial axis."""
        return self.shape[2] - 1 - z if "I" in self.scan.native_axcodes else z

    def axial(self, z: int) -> tuple[np.ndarray, np.ndarray]:
        """HU and labels of slice `z`, (Y, X) each: rows to posterior, columns to the patient's left."""
        image, labels = (volume_to_axial(volume[..., z : z + 1])[0, 0] for volume in (self.image, self.labels))
        return image.numpy(), labels.numpy()

    def coronal(self, y: int) -> tuple[np.ndarray, np.ndarray]:
        """HU and labels of coronal plane `y`, (Z, X) each: rows to inferior, columns to the patient's left."""
        image, labels = (volume[0, :, y, :].flip(0, 1).T for volume in (self.image, self.labels))
        return image.numpy(), labels.numpy()

    def marked_slices(self) -> tuple[list[int], list[int]]:
        """Indices of the axial slices that show any label, and of those that show tumor."""
        highest = self.labels[0].amax(dim=(0, 1))
        return (highest >= KIDNEY).nonzero()[:, 0].tolist(), (highest == TUMOR).nonzero()[:, 0].tolist()


def _plain(tensor: Any) -> torch.Tensor:
    """A plain CPU tensor: slicing a MetaTensor costs more than the slice."""
    if isinstance(tensor, MetaTensor):
        tensor = tensor.as_tensor()
    return torch.as_tensor(tensor).detach().cpu()
