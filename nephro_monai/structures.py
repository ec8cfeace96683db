"""Small frozen dataclasses that travel between the stages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "Box",
    "Calibration",
    "Case",
    "Diagnosis",
    "Kidney",
    "ModelVote",
    "Scan",
    "SliceGrid",
    "SliceVote",
    "Tumor",
    "TumorVote",
    "Verdict",
]

Verdict = Literal["malignant", "benign", "undetermined"]


@dataclass(frozen=True)
class Box:
    """Half-open voxel box of the R-A-S oriented scan."""

    xmin: int
    ymin: int
    zmin: int
    xmax: int
    ymax: int
    zmax: int

    def __post_init__(self) -> None:
        """Refuses an empty or inverted box.

        Raises:
            ValueError: If a lower bound is not below its upper bound.
        """
        if self.xmin >= self.xmax or self.ymin >= self.ymax or self.zmin >= self.zmax:
            raise ValueError(f"A box needs min < max on every axis, got {self}.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Extent in voxels along x, y and z."""
        return self.xmax - self.xmin, self.ymax - self.ymin, self.zmax - self.zmin

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index of the box in an (X, Y, Z) array."""
        return slice(self.xmin, self.xmax), slice(self.ymin, self.ymax), slice(self.zmin, self.zmax)

    def relative_to(self, outer: Box) -> Box:
        """This box in the voxels of a box around it."""
        x, y, z = outer.xmin, outer.ymin, outer.zmin
        return Box(self.xmin - x, self.ymin - y, self.zmin - z, self.xmax - x, self.ymax - y, self.zmax - z)

    def expanded(self, margin_voxels: tuple[int, int, int], shape: tuple[int, int, int]) -> Box:
        """This box with a margin on both sides, cut to a volume of `shape`."""
        mx, my, mz = margin_voxels
        return Box(
            max(0, self.xmin - mx), max(0, self.ymin - my), max(0, self.zmin - mz),
            min(shape[0], self.xmax + mx), min(shape[1], self.ymax + my), min(shape[2], self.zmax + mz),
        )  # fmt: skip

    def at_least(self, extent: Sequence[int], shape: Sequence[int]) -> Box:
        """This box grown evenly to an extent in voxels; at a border of a volume of `shape` to the other side."""
        lower, upper = [], []
        for low, own, wanted, whole in zip((self.xmin, self.ymin, self.zmin), self.shape, extent, shape, strict=True):
            total = max(own, min(wanted, whole))
            start = max(0, min(low - (total - own + 1) // 2, whole - total))
            lower.append(start)
            upper.append(start + total)
        return Box(*lower, *upper)


@dataclass(frozen=True)
class Case:
    """One patient study on disk: its name in the output folder and the path of its scan."""

    name: str
    path: str


@dataclass(frozen=True)
class Scan:
    """Where a volume came from and the native grid that results are written on.

    Attributes:
        path: File or DICOM folder as given.
        format: "nifti", "metaimage", "nrrd" or "dicom".
        native_shape: Voxels along the file's own axes.
        native_affine: 4x4 voxel-to-RAS-mm matrix of the file, row by row.
        native_axcodes: For example "IPL" for KiTS19.
        notes: What the reader decided or doubted (series chosen, header code used, HU clipped ...).
        sform_code: NIfTI code of the sform, None for other formats.
        qform_code: NIfTI code of the qform, None for other formats.
    """

    path: str
    format: str
    native_shape: tuple[int, int, int]
    native_affine: tuple[tuple[float, ...], ...]
    native_axcodes: str
    notes: tuple[str, ...] = ()
    sform_code: int | None = None
    qform_code: int | None = None


@dataclass(frozen=True)
class SliceGrid:
    """How a scan is sampled into the axial slices a 2-D detector sees.

    Attributes:
        slice_spacing_mm: Distance of the slices; a scan with thicker slices keeps its own.
        pixel_spacing_mm: Pixel size.
        input_size: Rows and columns of the square input, centered on the body.
        slice_thickness_mm: Native slices within it are averaged.
    """

    slice_spacing_mm: float = 6.0
    pixel_spacing_mm: float = 1.6
    input_size: int = 256
    slice_thickness_mm: float = 6.0

    def __post_init__(self) -> None:
        """Refuses sizes that are not positive.

        Raises:
            ValueError: If a spacing or the size is not above 0.
        """
        if min(self.slice_spacing_mm, self.pixel_spacing_mm, self.input_size, self.slice_thickness_mm) <= 0:
            raise ValueError(f"Spacings, thickness and size of a slice grid must be above 0, got {self}.")


@dataclass(frozen=True)
class Kidney:
    """One kidney with its tumors, as outlined.

    Attributes:
        side: Patient's side.
        box: Bounding box of the outline in the R-A-S scan.
        volume_ml: Kidney without tumor.
        center_mm: World coordinates (RAS).
    """

    side: Literal["left", "right"]
    box: Box
    volume_ml: float
    center_mm: tuple[float, float, float]


@dataclass(frozen=True)
class Tumor:
    """One connected tumor.

    Attributes:
        index: 1 for the largest tumor of the scan, counting up.
        side: Patient's side.
        box: Bounding box in the R-A-S scan.
        volume_ml: Volume.
        center_mm: World coordinates (RAS) of the centroid.
        largest_diameter_mm: Feret diameter in 3-D.
    """

    index: int
    side: Literal["left", "right"]
    box: Box
    volume_ml: float
    center_mm: tuple[float, float, float]
    largest_diameter_mm: float


@dataclass(frozen=True)
class SliceVote:
    """One axial tumor slice and what the classifier says of it.

    Attributes:
        tumor: Index of its tumor.
        slice_index: Position along z in the R-A-S scan.
        native_slice_index: The same slice counted along the file's own axial axis.
        position_mm: z in world coordinates (RAS).
        area_mm2: Tumor area in the slice.
        probabilities: Of `constants.CLASS_NAMES`; None before classification or without a classifier.
        vote: The most probable class; None before classification or without a classifier.
    """

    tumor: int
    slice_index: int
    native_slice_index: int
    position_mm: float
    area_mm2: float
    probabilities: tuple[float, ...] | None = None
    vote: str | None = None


@dataclass(frozen=True)
class TumorVote:
    """The verdict for one tumor and its evidence; `has_say` is false where the patient's verdict passes it over."""

    tumor: int
    verdict: Verdict
    reason: str
    mean_probability_malignant: float | None
    votes: dict[str, int] = field(default_factory=dict)
    agreement: float | None = None
    probability_malignant: float | None = None
    has_say: bool = True


@dataclass(frozen=True)
class ModelVote:
    """What one patient-level model says of the whole patient.

    Attributes:
        model: Which one, for example "fold 1".
        probability_malignant: Moved so that the model's decision threshold lies at 0.5.
        vote: "benign" or "malignant"; "undetermined" where the model may abstain.
    """

    model: str
    probability_malignant: float
    vote: str


@dataclass(frozen=True)
class Calibration:
    """Turns pooled evidence into a probability and a verdict, with numbers fitted on patients kept out of training.

    Attributes:
        temperature: Divides the pooled log-odds (Guo 2017, temperature scaling); above 1 takes confidence away.
        benign_below: A probability below it is benign.
        malignant_from: A probability from it on is malignant; what lies between the two is undetermined.
        sensitivity: Share of malignant tumors that are not called benign, as was asked for; None if nothing was.
        patients: How many it was fitted on; None if not known.
    """

    temperature: float = 1.0
    benign_below: float = 0.5
    malignant_from: float = 0.5
    sensitivity: float | None = None
    patients: int | None = None

    def __post_init__(self) -> None:
        """Refuses numbers that are no calibration.

        Raises:
            ValueError: If the temperature is not above 0, or the limits are not ordered within 0..1.
        """
        if not self.temperature > 0 or not 0 <= self.benign_below <= self.malignant_from <= 1:
            raise ValueError(
                "A calibration needs a temperature above 0 and 0 <= benign_below <= malignant_from <= 1, got "
                f"{self.temperature}, {self.benign_below} and {self.malignant_from}."
            )

    def probability(self, log_odds: float) -> float:
        """Probability of malignancy, 0..1, of pooled log-odds."""
        scaled = log_odds / self.temperature
        return 1.0 / (1.0 + math.exp(-scaled)) if scaled >= 0 else math.exp(scaled) / (1.0 + math.exp(scaled))

    def verdict(self, probability: float) -> Verdict:
        """The verdict on a calibrated probability."""
        if probability >= self.malignant_from:
            return "malignant"
        return "benign" if probability < self.benign_below else "undetermined"


@dataclass(frozen=True)
class Diagnosis:
    """The verdict for the patient and all its evidence.

    Attributes:
        verdict: "malignant", "benign" or "undetermined".
        reason: Why, in one sentence.
        mean_probability_malignant: Mean over all slices; None without slices.
        votes: Slices per class.
        agreement: Share of slices that vote like the verdict; None without slices or verdict.
        tumors: One vote per tumor.
        slices: One vote per slice.
        models: One vote per patient-level model, where a system has such; then they decide.
        probability_malignant: Calibrated; None without a calibration or without slices.
        calibration: What it was calibrated with; then its limits decide.
    """

    verdict: Verdict
    reason: str
    mean_probability_malignant: float | None = None
    votes: dict[str, int] = field(default_factory=dict)
    agreement: float | None = None
    tumors: tuple[TumorVote, ...] = ()
    slices: tuple[SliceVote, ...] = ()
    models: tuple[ModelVote, ...] = ()
    probability_malignant: float | None = None
    calibration: Calibration | None = None
