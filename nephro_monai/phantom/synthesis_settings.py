"""What `CTSynthesis` draws, and within which bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nephro_monai.phantom.parameters import (
    PARAMETERS,
    Parameters,
    Range,
    merge_parameters,
    packaged_parameters,
)

__all__ = ["AcquisitionRanges", "MassRanges", "SynthesisSettings"]


def _defaults(part: str, merged: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Ranges of a part of "on_the_fly" in `parameters.json`, as pairs and numbers."""
    entries = (merged or packaged_parameters())["on_the_fly"][part]
    return {key: tuple(map(float, value)) if isinstance(value, list) else value for key, value in entries.items()}


_MASSES, _ACQUISITION = _defaults("masses"), _defaults("acquisition")


@dataclass(frozen=True)
class MassRanges:
    """Tumors and cysts that are put into a tissue map.

    Attributes:
        mass_share: Of the patches with a kidney that get a procedural mass, 0..1.
        keep_share: Of the patches with a tumor of their own that keep it, 0..1; in the others it becomes kidney if it
            is small enough (a kidney the size of a large tumor would teach a wrong lesson).
        small_tumor_ml: Largest tumor that may become kidney.
        diameter_mm: Of procedural masses, drawn log-uniformly.
        buried: From the mass's center to the kidney's surface, in radii: -1 is buried, 1 hangs outside.
        lumps: Height of the lumps in radii.
        benign_share: Of the tumors, as in `PhantomConfig`.
        cyst_share: Of the patches with a kidney that get simple cysts.
        most_cysts: Cysts of such a patch, at most.
        cyst_diameter_mm: Drawn log-uniformly.
        cyst_buried: From the cyst's center to the kidney's surface, in radii, as `buried`.
    """

    mass_share: float = _MASSES["mass_share"]
    keep_share: float = _MASSES["keep_share"]
    small_tumor_ml: float = _MASSES["small_tumor_ml"]
    diameter_mm: Range = _MASSES["diameter_mm"]
    buried: Range = _MASSES["buried"]
    lumps: Range = _MASSES["lumps"]
    benign_share: float = _MASSES["benign_share"]
    cyst_share: float = _MASSES["cyst_share"]
    most_cysts: int = _MASSES["most_cysts"]
    cyst_diameter_mm: Range = _MASSES["cyst_diameter_mm"]
    cyst_buried: Range = _MASSES["cyst_buried"]


@dataclass(frozen=True)
class AcquisitionRanges:
    """What the scanner does to ideal HU.

    Attributes:
        blur_mm: Sigma of the in-plane blur. Not less than about a third of a voxel: tissue maps have hard edges, scans
            brought to the working spacing by averaging have not.
        thickness_mm: Of the slices, drawn log-uniformly; slices thicker than the voxels are averaged, then interpolated
            back, as resampling a scan with thick slices does.
        thick_share: Of the patches whose slices are drawn from `thickness_mm`; the others have the voxels' own.
        slice_overlap: Share of each neighboring slice that a slice sees; above 0 for the same reason.
        noise_hu: Standard deviation, drawn log-uniformly.
        noise_blur: Sigma of the noise's in-plane correlation in voxels; white below 0.3.
        band_passed_share: Of the patches whose noise lacks low frequencies, as sharp kernels make it.
        gain: Largest relative change of all HU.
        offset_hu: Largest offset.
        streak_share: Of the patches with horizontal streaks, as arms leave.
        streak_hu: Their standard deviation, drawn log-uniformly.
    """

    blur_mm: Range = _ACQUISITION["blur_mm"]
    thickness_mm: Range = _ACQUISITION["thickness_mm"]
    thick_share: float = _ACQUISITION["thick_share"]
    slice_overlap: Range = _ACQUISITION["slice_overlap"]
    noise_hu: Range = _ACQUISITION["noise_hu"]
    noise_blur: Range = _ACQUISITION["noise_blur"]
    band_passed_share: float = _ACQUISITION["band_passed_share"]
    gain: float = _ACQUISITION["gain"]
    offset_hu: float = _ACQUISITION["offset_hu"]
    streak_share: float = _ACQUISITION["streak_share"]
    streak_hu: Range = _ACQUISITION["streak_hu"]


@dataclass(frozen=True)
class SynthesisSettings:
    """Bounds of the synthesis.

    Attributes:
        spacing_mm: Of the voxels along x, y, z (R-A-S).
        masses: Tumors and cysts.
        acquisition: Scanner.
        parameters: Phases, HU, texture and looks; those of the whole-abdomen generator.
        cysts_apart: Give cysts the label 3 instead of the kidney's, for networks with a class of their own for them.
        need_tumor: Draw masses anew until every patch has a tumor, for networks that see nothing else.

    Raises:
        ValueError: If a spacing is not above 0 or a share is outside 0..1.
    """

    spacing_mm: tuple[float, float, float] = (2.0, 2.0, 3.0)
    masses: MassRanges = MassRanges()
    acquisition: AcquisitionRanges = AcquisitionRanges()
    parameters: Parameters = PARAMETERS
    cysts_apart: bool = False
    need_tumor: bool = False

    @classmethod
    def from_parameters(
        cls, parameters: Parameters, spacing_mm: tuple[float, float, float] = (2.0, 2.0, 3.0)
    ) -> SynthesisSettings:
        """Settings with the ranges of `read_parameters`, those under "on_the_fly" among them."""
        merged = merge_parameters(packaged_parameters(), parameters.overrides)
        masses = MassRanges(**_defaults("masses", merged))
        return cls(spacing_mm, masses, AcquisitionRanges(**_defaults("acquisition", merged)), parameters)

    def __post_init__(self) -> None:
        """Checks spacings, shares and ranges."""
        if len(self.spacing_mm) != 3 or min(self.spacing_mm) <= 0:
            raise ValueError(f"spacing_mm needs three numbers above 0 (x, y, z), got {self.spacing_mm}.")
        for part in (self.masses, self.acquisition):
            for name, value in vars(part).items():
                if name.endswith("_share") and not 0 <= value <= 1:
                    raise ValueError(f"{name} must lie between 0 and 1, got {value}.")
                if isinstance(value, tuple | list) and not value[0] <= value[1]:
                    raise ValueError(f"{name} must give the smaller bound first, got {value}.")
        for name, (low, _) in (
            ("diameter_mm", self.masses.diameter_mm),
            ("cyst_diameter_mm", self.masses.cyst_diameter_mm),
            ("thickness_mm", self.acquisition.thickness_mm),
            ("noise_hu", self.acquisition.noise_hu),
            ("streak_hu", self.acquisition.streak_hu),
        ):
            if low <= 0:
                raise ValueError(f"{name} is drawn log-uniformly and must be above 0, got {low}.")
