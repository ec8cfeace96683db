"""What `CTSynthesis` draws, and within which bounds."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AcquisitionRanges", "MassRanges", "SynthesisSettings"]

Range = tuple[float, float]


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
    """

    mass_share: float = 0.6
    keep_share: float = 0.5
    small_tumor_ml: float = 15.0
    diameter_mm: Range = (8.0, 100.0)
    buried: Range = (-0.75, 0.6)
    lumps: Range = (0.02, 0.16)
    benign_share: float = 0.43
    cyst_share: float = 0.3
    most_cysts: int = 3
    cyst_diameter_mm: Range = (6.0, 48.0)


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

    blur_mm: Range = (0.7, 1.7)
    thickness_mm: Range = (0.5, 5.0)
    thick_share: float = 0.6
    slice_overlap: Range = (0.06, 0.22)
    noise_hu: Range = (3.0, 38.0)
    noise_blur: Range = (0.0, 0.95)
    band_passed_share: float = 0.35
    gain: float = 0.06
    offset_hu: float = 8.0
    streak_share: float = 0.3
    streak_hu: Range = (2.0, 14.0)


@dataclass(frozen=True)
class SynthesisSettings:
    """Bounds of the synthesis; the HU of tissues come from `tissues.TISSUE_HU`.

    Attributes:
        spacing_mm: Of the voxels along x, y, z (R-A-S).
        masses: Tumors and cysts.
        acquisition: Scanner.

    Raises:
        ValueError: If a spacing is not above 0 or a share is outside 0..1.
    """

    spacing_mm: tuple[float, float, float] = (2.0, 2.0, 3.0)
    masses: MassRanges = MassRanges()
    acquisition: AcquisitionRanges = AcquisitionRanges()

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
