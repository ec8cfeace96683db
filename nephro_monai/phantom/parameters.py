"""The generator's ranges: `parameters.json`, read once, and a user's own laid over it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from nephro_monai.errors import ParametersError
from nephro_monai.phantom.tissues import PHASES, Tissue

__all__ = ["PARAMETERS", "Look", "Parameters", "Range", "merge_parameters", "packaged_parameters", "read_parameters"]

Range = tuple[float, float]
_FILE: Final = Path(__file__).with_name("parameters.json")


@dataclass(frozen=True)
class Look:
    """How a subtype looks; what its entry in the JSON leaves out, the subtype does not have.

    Attributes:
        arterial_of_kidney: HU of the solid part as a share of the kidney's, in the arterial phase.
        later_of_kidney: The same in the later phases.
        dense_unenhanced_share: How often it is denser than the kidney without contrast, 0..1.
        coarse_hu: Heterogeneity over centimeters (standard deviation).
        fine_hu: Heterogeneity over millimeters.
        even_coarse_hu: As `coarse_hu`, in tumors without necrosis.
        dark_share: How often the solid part is drawn from `dark_hu` in a phase with contrast.
        dark_hu: See there.
        necrosis_share: How often it has necrosis.
        necrosis: Share of the tumor that is necrotic.
        small_necrosis: The same in small tumors.
        scar_share: How often it has a scar.
        scar: The scar's radius relative to the tumor's.
        small_scar: The same in small tumors.
        fat_share: How often it holds fat.
        fat: Share of the tumor that is fat.
        small_fat: The same in small tumors.
        fat_hu: HU of that fat.
        rim_share: How often it has a rim.
        rim_hu: What the rim adds.
        calcified_share: How often it is calcified.
    """

    arterial_of_kidney: Range
    later_of_kidney: Range
    dense_unenhanced_share: float
    coarse_hu: Range
    fine_hu: Range
    even_coarse_hu: Range = (0.0, 0.0)
    dark_share: float = 0.0
    dark_hu: Range = (0.0, 0.0)
    necrosis_share: float = 0.0
    necrosis: Range = (0.0, 0.0)
    small_necrosis: Range = (0.0, 0.0)
    scar_share: float = 0.0
    scar: Range = (0.0, 0.0)
    small_scar: Range = (0.0, 0.0)
    fat_share: float = 0.0
    fat: Range = (0.0, 0.0)
    small_fat: Range = (0.0, 0.0)
    fat_hu: Range = (0.0, 0.0)
    rim_share: float = 0.0
    rim_hu: Range = (0.0, 0.0)
    calcified_share: float = 0.0


@dataclass(frozen=True)
class Parameters:
    """Ranges of the whole-abdomen generator, by the names of `parameters.json` (documented in docs/phantom.md).

    Attributes:
        phase_shares: Of the contrast phases, in the order of `PHASES`.
        tissue_hu: (low, high) HU of each tissue in each of `PHASES`, before texture and noise.
        medulla_of_cortex: HU of the medulla as a share of the cortex, "arterial" and "later".
        texture_hu: Each tissue's own standard deviation over centimeters.
        mottle_hu: The same from voxel to voxel.
        spleen_stripes: The moire of the early arterial spleen.
        malignant_subtype_shares: KiTS19's names and their shares among malignant cases.
        benign_subtype_shares: The same among benign ones.
        tumors: What all subtypes share.
        looks: Of the subtypes.
        cases: Shares and sizes of what a case holds.
        scan: Grid of whole scans.
        acquisition: Scanner.
        overrides: What was laid over the packaged ranges; empty without.
    """

    phase_shares: tuple[float, ...]
    tissue_hu: Mapping[Tissue, tuple[Range, ...]]
    medulla_of_cortex: Mapping[str, Range]
    texture_hu: Mapping[Tissue, Range]
    mottle_hu: Mapping[Tissue, Range]
    spleen_stripes: Mapping[str, Any]
    malignant_subtype_shares: Mapping[str, float]
    benign_subtype_shares: Mapping[str, float]
    tumors: Mapping[str, Any]
    looks: Mapping[str, Look]
    cases: Mapping[str, Any]
    scan: Mapping[str, Any]
    acquisition: Mapping[str, Any]
    overrides: Mapping[str, Any]


@cache
def packaged_parameters() -> Mapping[str, Any]:
    """`parameters.json` as it ships; not to be changed."""
    return MappingProxyType(json.loads(_FILE.read_text(encoding="utf-8")))


def read_parameters(path: str | Path | Mapping[str, Any] | None = None) -> Parameters:
    """The packaged ranges with others laid over them.

    Args:
        path: JSON file with some of the keys of `parameters.json`, or its content; None for the packaged ranges.

    Raises:
        ParametersError: If the file cannot be read, or holds an unknown key or a value that cannot be drawn from.
    """
    if path is None:
        return _typed(packaged_parameters(), {})
    overrides = dict(path) if isinstance(path, Mapping) else _read_overrides(path)
    return _typed(merge_parameters(packaged_parameters(), overrides), overrides)


def _read_overrides(path: str | Path) -> dict[str, Any]:
    try:
        overrides = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ParametersError(f"Cannot read the parameters {path}: {error}. Give a JSON file.") from error
    if not isinstance(overrides, dict):
        raise ParametersError(f"{path} must hold an object such as {{'phase_shares': ...}}, got {overrides!r:.60}.")
    return overrides


def merge_parameters(base: Mapping[str, Any], overrides: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Lays overrides over ranges, key by key.

    Args:
        base: What is there.
        overrides: Some of its keys. One range in the place of ranges by phase counts for all of them.
        place: Where in the file this is, for messages.

    Raises:
        ParametersError: If a key is unknown or a value cannot stand in its place.
    """
    unknown = [key for key in overrides if key not in base]
    if unknown:
        where = f" in {place.rstrip('.')}" if place else ""
        raise ParametersError(f"Unknown parameter {unknown[0]!r}{where}; allowed are {', '.join(base)}.")
    merged = dict(base)
    for key, value in overrides.items():
        here, old = f"{place}{key}", base[key]
        if isinstance(old, Mapping) and isinstance(value, list) and place == "tissue_hu.":
            value = dict.fromkeys(old, value)
        if isinstance(old, Mapping):
            if not isinstance(value, Mapping):
                raise ParametersError(f"{here} must be an object with some of {', '.join(old)}, got {value!r}.")
            merged[key] = merge_parameters(old, value, f"{here}.")
            if key.endswith("_shares") and abs(sum(merged[key].values()) - 1) > 1e-6:
                raise ParametersError(f"{here} must sum to 1, got {merged[key]}; give all of them.")
        else:
            _check_value(here, value, old)
            merged[key] = value
    return merged


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


def _check_value(place: str, value: Any, old: Any) -> None:
    """Refuses what is no number or no range, where there was one."""
    if isinstance(old, list):
        if not (isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)) and value[0] <= value[1]):
            raise ParametersError(f"{place} must be a range [low, high], such as {old}, got {value!r}.")
        if value[0] <= 0 and (place.endswith(("noise_hu", "streak_hu")) or "_mm" in place):
            raise ParametersError(f"{place} must be above 0, got {value}.")
    elif not _is_number(value):
        raise ParametersError(f"{place} must be a number, such as {old}, got {value!r}.")
    elif "_share" in place and not 0 <= value <= 1:
        raise ParametersError(f"{place} must lie between 0 and 1, got {value}.")


def _range(values: Any) -> Range:
    low, high = values
    return float(low), float(high)


def _values(entries: Mapping[str, Any]) -> Mapping[str, Any]:
    """Numbers as they are, ranges as pairs."""
    return {key: _range(value) if isinstance(value, list) else value for key, value in entries.items()}


def _by_tissue(entries: Mapping[str, Any]) -> dict[Tissue, Range]:
    return {Tissue[name.upper()]: _range(values) for name, values in entries.items()}


def _by_phase(entry: Any) -> tuple[Range, ...]:
    return tuple(_range(entry[phase] if isinstance(entry, Mapping) else entry) for phase in PHASES)


def _typed(merged: Mapping[str, Any], overrides: Mapping[str, Any]) -> Parameters:
    plain = {field.name for field in fields(Parameters)} - {
        "phase_shares", "tissue_hu", "texture_hu", "mottle_hu", "looks", "overrides",
    }  # fmt: skip
    return Parameters(
        phase_shares=tuple(float(merged["phase_shares"][phase]) for phase in PHASES),
        tissue_hu={Tissue[name.upper()]: _by_phase(entry) for name, entry in merged["tissue_hu"].items()},
        texture_hu=_by_tissue(merged["texture_hu"]),
        mottle_hu=_by_tissue(merged["mottle_hu"]),
        looks={name: Look(**_values(entry)) for name, entry in merged["looks"].items()},
        overrides=overrides,
        **{name: _values(merged[name]) for name in plain},
    )


PARAMETERS: Final = read_parameters()
"""The packaged ranges."""
