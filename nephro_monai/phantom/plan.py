"""What a case will show, decided before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nephro_monai.phantom.config import MALIGNANT_SUBTYPES, PhantomConfig, Special
from nephro_monai.phantom.contrast import draw_phase
from nephro_monai.phantom.tissues import Phase

__all__ = ["Plan", "draw_plan"]


@dataclass(frozen=True)
class Plan:
    """Decisions about one case.

    Attributes:
        kind: "malignant", "benign" or "none".
        subtype: KiTS19's name; None without a tumor.
        phase: Contrast phase.
        special: Unusual finding, "ordinary" for none.
        diameter_mm: Size of the procedural tumor, if one is made.
        replace: Whether a real tumor gives way to a procedural one.
        extra_mm: Size of a second procedural tumor, 0 for none.
        cysts: Simple cysts to add.
        metal: Whether metal throws streaks.
    """

    kind: str
    subtype: str | None
    phase: Phase
    special: Special
    diameter_mm: float
    replace: bool
    extra_mm: float
    cysts: int
    metal: bool


def _pick(rng: np.random.Generator, shares: Mapping[str, float]) -> str:
    return str(rng.choice(list(shares), p=list(shares.values())))


def draw_plan(config: PhantomConfig, rng: np.random.Generator) -> Plan:
    """Draws what the config leaves open."""
    parameters, cases = config.parameters, config.parameters.cases
    if config.subtype is not None:
        kind = "malignant" if config.subtype in MALIGNANT_SUBTYPES else "benign"
    elif config.kind != "random":
        kind = config.kind
    elif config.special not in ("huge_tumor", "tiny_tumor") and rng.uniform() < config.no_tumor_share:
        kind = "none"
    else:
        kind = "benign" if rng.uniform() < config.benign_share else "malignant"
    subtype = config.subtype
    if subtype is None and kind != "none":
        benign = parameters.benign_subtype_shares
        subtype = _pick(rng, benign if kind == "benign" else parameters.malignant_subtype_shares)
    special = config.special or _draw_special(config, kind, rng)
    phase: Phase = config.phase or ("none" if special == "no_contrast" else draw_phase(rng, parameters))
    low, high = cases[f"{special}_mm"] if special in ("huge_tumor", "tiny_tumor") else cases["diameter_mm"]
    least, most = cases["second_tumor_mm"]
    second = kind != "none" and rng.uniform() < cases["second_tumor_share"]
    extra = float(np.exp(rng.uniform(np.log(least), np.log(most)))) if second else 0.0
    fewest_cysts, most_cysts = map(int, cases["cysts"])
    return Plan(
        kind=kind,
        subtype=subtype,
        phase=phase,
        special=special,
        diameter_mm=float(np.exp(rng.uniform(np.log(low), np.log(high)))),
        replace=bool(rng.uniform() < config.replace_tumor_share) or special in ("huge_tumor", "tiny_tumor"),
        extra_mm=0.0 if special == "tiny_tumor" else extra,
        cysts=int(rng.integers(fewest_cysts, most_cysts + 1)) if rng.uniform() < cases["cyst_share"] else 0,
        metal=special == "metal",
    )


def _draw_special(config: PhantomConfig, kind: str, rng: np.random.Generator) -> Special:
    if rng.uniform() >= config.special_share:
        return "ordinary"
    choices: list[Special] = ["one_kidney", "touching_kidneys", "metal"]
    if config.phase in (None, "none"):
        choices.append("no_contrast")
    if kind != "none":
        choices += ["huge_tumor", "tiny_tumor"]
    return choices[int(rng.integers(len(choices)))]
