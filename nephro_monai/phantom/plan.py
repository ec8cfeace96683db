"""What a case will show, decided before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nephro_monai.phantom.config import BENIGN_SUBTYPES, MALIGNANT_SUBTYPES, PhantomConfig, Special
from nephro_monai.phantom.tissues import Phase, draw_phase

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


def _pick(rng: np.random.Generator, shares: dict[str, float]) -> str:
    return str(rng.choice(list(shares), p=list(shares.values())))


def draw_plan(config: PhantomConfig, rng: np.random.Generator) -> Plan:
    """Draws what the config leaves open."""
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
        subtype = _pick(rng, BENIGN_SUBTYPES if kind == "benign" else MALIGNANT_SUBTYPES)
    special = config.special or _draw_special(config, kind, rng)
    phase: Phase = config.phase or ("none" if special == "no_contrast" else draw_phase(rng))
    low, high = {"huge_tumor": (95, 160), "tiny_tumor": (6, 12)}.get(special, (8, 100))
    extra = float(np.exp(rng.uniform(np.log(8), np.log(40)))) if kind != "none" and rng.uniform() < 0.08 else 0.0
    return Plan(
        kind=kind,
        subtype=subtype,
        phase=phase,
        special=special,
        diameter_mm=float(np.exp(rng.uniform(np.log(low), np.log(high)))),
        replace=bool(rng.uniform() < config.replace_tumor_share) or special in ("huge_tumor", "tiny_tumor"),
        extra_mm=0.0 if special == "tiny_tumor" else extra,
        cysts=int(rng.integers(1, 5)) if rng.uniform() < 0.3 else 0,
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
