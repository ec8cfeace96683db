"""What a synthetic case should be; everything not fixed here is drawn from the case's seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from nephro_monai.phantom.parameters import PARAMETERS, Parameters
from nephro_monai.phantom.tissues import PHASES, Phase

__all__ = [
    "BENIGN_SUBTYPES",
    "FIELDS_OF_VIEW",
    "KINDS",
    "MALIGNANT_SUBTYPES",
    "SMALL_SHAPE",
    "SPECIALS",
    "FieldOfView",
    "Kind",
    "PhantomConfig",
    "Special",
]

Kind = Literal["malignant", "benign", "none", "random"]
Special = Literal["ordinary", "one_kidney", "touching_kidneys", "huge_tumor", "tiny_tumor", "no_contrast", "metal"]
FieldOfView = Literal["abdomen", "kidneys", "tumors"]
FIELDS_OF_VIEW: Final[tuple[FieldOfView, ...]] = get_args(FieldOfView)
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
SPECIALS: Final[tuple[Special, ...]] = get_args(Special)

MALIGNANT_SUBTYPES: Final = PARAMETERS.malignant_subtype_shares
"""Malignant subtypes (KiTS19's names) and their share among malignant cases."""
BENIGN_SUBTYPES: Final = PARAMETERS.benign_subtype_shares
"""Benign subtypes and their share among benign cases."""

SMALL_SHAPE: Final = (48, 160, 160)
"""Grid of `--small` cases: the same body, coarser, so that tests are quick."""


@dataclass(frozen=True)
class PhantomConfig:
    """One synthetic case.

    Attributes:
        shape: (slices, rows, columns), each at least 8; None draws slices from KiTS19's range at 512 x 512.
        kind: What the case should contain; "random" draws it with the shares below.
        subtype: A key of `MALIGNANT_SUBTYPES` or `BENIGN_SUBTYPES`; None draws one that fits `kind`.
        phase: Contrast phase; None draws one.
        special: An unusual finding to build in; None draws one with `special_shares`.
        label_map: KiTS19 segmentation to build the abdomen around; None draws procedural kidneys.
        no_tumor_share: Share of tumor-free scans among random kinds, 0..1.
        benign_share: Share of benign ones among random kinds with a tumor, 0..1 (KiTS19: 0.09; balanced here).
        replace_tumor_share: How often a real tumor gives way to a procedural one of balanced size, 0..1.
        special_share: How often a case gets one of the special findings, 0..1.
        field_of_view: "abdomen", or only the surroundings of the kidneys (45 mm) or of the tumors (75 mm around their
            middle at least), at KiTS19's pixel sizes and slice thicknesses: training data at full resolution for
            networks that see no more, at a third and a tenth of the cost of a whole abdomen.
        second_phase: Contrast phase of a second scan of the same patient on the same grid, as registered phases are;
            needs `phase` for the first one. None makes one scan. The first scan's voxels do not depend on it.
        parameters: Ranges of what is drawn; its shares count only through `with_parameters`.
    """

    shape: tuple[int, int, int] | None = None
    kind: Kind = "random"
    subtype: str | None = None
    phase: Phase | None = None
    special: Special | None = None
    label_map: Path | None = None
    no_tumor_share: float = PARAMETERS.cases["no_tumor_share"]
    benign_share: float = PARAMETERS.cases["benign_share"]
    replace_tumor_share: float = PARAMETERS.cases["replace_tumor_share"]
    special_share: float = PARAMETERS.cases["special_share"]
    field_of_view: FieldOfView = "abdomen"
    second_phase: Phase | None = None
    parameters: Parameters = PARAMETERS

    @classmethod
    def with_parameters(cls, parameters: Parameters, **settings: Any) -> PhantomConfig:
        """A config that draws from these ranges, with their shares where `settings` give none."""
        names = ("no_tumor_share", "benign_share", "replace_tumor_share", "special_share")
        return cls(parameters=parameters, **{**{name: parameters.cases[name] for name in names}, **settings})

    def __post_init__(self) -> None:
        """Checks every value.

        Raises:
            ValueError: If a value is outside what is documented above.
        """
        if self.shape is not None and (len(self.shape) != 3 or min(self.shape) < 8):
            raise ValueError(f"shape needs three numbers of at least 8 (slices, rows, columns), got {self.shape}.")
        for name, value, allowed in (
            ("kind", self.kind, KINDS),
            ("phase", self.phase, (None, *PHASES)),
            ("second_phase", self.second_phase, (None, *PHASES)),
            ("special", self.special, (None, *SPECIALS)),
            ("field_of_view", self.field_of_view, FIELDS_OF_VIEW),
            ("subtype", self.subtype, (None, *MALIGNANT_SUBTYPES, *BENIGN_SUBTYPES)),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}, got {value!r}.")
        for name in ("no_tumor_share", "benign_share", "replace_tumor_share", "special_share"):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, got {share}.")
        self._check_agreement()

    def _check_agreement(self) -> None:
        if self.field_of_view != "abdomen" and self.shape is not None:
            raise ValueError(f"field_of_view {self.field_of_view!r} sets the shape itself; drop the shape.")
        if self.field_of_view == "tumors" and self.kind == "none":
            raise ValueError("field_of_view 'tumors' needs a tumor, but kind is 'none'; drop one of the two.")
        if self.subtype is not None and self.kind != "random":
            families = {"malignant": MALIGNANT_SUBTYPES, "benign": BENIGN_SUBTYPES}
            if self.subtype not in families.get(self.kind, {}):
                raise ValueError(f"subtype {self.subtype!r} does not fit kind {self.kind!r}; drop one of the two.")
        if self.special == "no_contrast" and self.phase not in (None, "none"):
            raise ValueError(f"special 'no_contrast' does not fit phase {self.phase!r}; drop one of the two.")
        if self.second_phase is not None and self.phase in (None, self.second_phase):
            raise ValueError(
                f"second_phase {self.second_phase!r} needs another phase for the first scan, got {self.phase!r}; "
                "give both, for example arterial and excretory."
            )
        if self.special in ("huge_tumor", "tiny_tumor") and self.kind == "none":
            raise ValueError(f"special {self.special!r} needs a tumor, but kind is 'none'.")
