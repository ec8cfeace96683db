"""Tumor by tumor: which were found, and which of the found ones are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nephro_monai.constants import TUMOR
from nephro_monai.evaluation.bootstrap import ratio_interval
from nephro_monai.evaluation.label_map import LabelMap
from nephro_monai.geometry.components import Components
from nephro_monai.geometry.measurements import find_tumors, largest_diameter_mm

__all__ = [
    "DIAMETER_GROUPS_MM",
    "FROC_RATES",
    "LESION_SHARE",
    "SMALLEST_LESION_ML",
    "Lesion",
    "group_name",
    "match_lesions",
    "score_lesions",
]

DIAMETER_GROUPS_MM: tuple[tuple[float, float], ...] = ((0, 20), (20, 40), (40, 70), (70, float("inf")))
"""Half-open; 40 and 70 mm divide the stages T1a, T1b and T2."""

LESION_SHARE = 0.1
"""A true lesion is found if at least this share of it is predicted; a predicted one is right if at least this share
of it is tumor."""

SMALLEST_LESION_ML = 0.1
"""Smaller connected regions are crumbs, in the truth and in the prediction."""

FROC_RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
"""False lesions per case at which the FROC score averages the recall."""


@dataclass(frozen=True)
class Lesion:
    """A connected region of tumor label.

    Attributes:
        case: Where.
        kind: "true" or "predicted".
        volume_ml: Volume.
        diameter_mm: Largest diameter in 3-D.
        hit: A true lesion that was found, or a predicted one that is right.
        score: Of a predicted lesion its volume in ml; of a true one the largest smallest-volume at which it is still
            found; 0 if it is not found.
    """

    case: str
    kind: Literal["true", "predicted"]
    volume_ml: float
    diameter_mm: float
    hit: bool
    score: float


def match_lesions(case: str, prediction: LabelMap, truth: LabelMap) -> tuple[Lesion, ...]:
    """Matches the predicted lesions of a case with the true ones.

    Lesions are connected regions (26 neighbors) of label 2 with at least 0.1 ml.

    Args:
        case: Name.
        prediction: Cropped or not.
        truth: On the same grid.

    Returns:
        The true lesions, then the predicted ones, each by falling size.
    """
    there, found = (find_tumors(m.labels, m.affine, SMALLEST_LESION_ML) for m in (truth, prediction))
    true_index, found_index = (_index_map(c, truth.labels.shape) for c in (there, found))
    n_true, n_found = (len(c.sizes) if c else 0 for c in (there, found))
    joint = np.bincount(
        true_index.ravel() * (n_found + 1) + found_index.ravel(), minlength=(n_true + 1) * (n_found + 1)
    )
    overlap = joint.reshape(n_true + 1, n_found + 1)[1:, 1:]
    right = np.bincount(found_index[truth.labels == TUMOR], minlength=n_found + 1)[1:]
    lesions = []
    for i, (volume, diameter) in enumerate(_sizes(there, truth)):
        score = _found_at(overlap[i], there.sizes[i], found, truth.voxel_ml)  # type: ignore[union-attr]
        lesions.append(Lesion(case, "true", volume, diameter, score > 0, score))
    for j, (volume, diameter) in enumerate(_sizes(found, prediction)):
        hit = bool(right[j] >= LESION_SHARE * found.sizes[j])  # type: ignore[union-attr]
        lesions.append(Lesion(case, "predicted", volume, diameter, hit, volume))
    return tuple(lesions)


def score_lesions(cases: Sequence[tuple[Lesion, ...]]) -> dict[str, Any]:
    """Recall, precision and FROC over cases.

    The score that orders predicted lesions for the FROC is their volume, since a label map has no other: the curve
    says what leaving out small predicted lesions costs and saves.

    Args:
        cases: The lesions of each case, empty for one without.

    Returns:
        Counts, `recall`, `precision`, their intervals, `false_per_case`, `froc` and `by_diameter`, ready for JSON;
        None where there is no lesion.
    """
    true, predicted = ([[x for x in case if x.kind == kind] for case in cases] for kind in ("true", "predicted"))
    recall, precision = _ratio(true), _ratio(predicted)
    return {
        "true": recall["n"], "found": recall["hits"], "recall": recall["share"], "recall_interval": recall["interval"],
        "predicted": precision["n"], "right": precision["hits"], "precision": precision["share"],
        "precision_interval": precision["interval"],
        "false_per_case": (precision["n"] - precision["hits"]) / len(cases) if cases else None,
        "froc": _froc([x for case in true for x in case], [x for case in predicted for x in case], len(cases)),
        "by_diameter": _by_diameter(true, predicted),
    }  # fmt: skip


def group_name(low: float, high: float) -> str:
    """A group of `DIAMETER_GROUPS_MM` for people."""
    return f"{low:g} mm and more" if high == float("inf") else f"{low:g} to {high:g} mm"


def _index_map(components: Components | None, shape: tuple[int, ...]) -> np.ndarray:
    index = np.zeros(shape, np.int64)
    if components is not None:
        index[components.box.slices] = components.labels
    return index


def _sizes(components: Components | None, label_map: LabelMap) -> list[tuple[float, float]]:
    if components is None:
        return []
    return [
        (size * label_map.voxel_ml, largest_diameter_mm(components.mask(i), label_map.spacing_mm))
        for i, size in enumerate(components.sizes, 1)
    ]


def _found_at(overlap: np.ndarray, size: int, found: Components | None, voxel_ml: float) -> float:
    """The volume down to which predicted lesions must count (largest first) for this true lesion to be found."""
    enough = np.flatnonzero(np.cumsum(overlap) >= LESION_SHARE * size)
    return found.sizes[enough[0]] * voxel_ml if len(enough) and found is not None else 0.0


def _ratio(cases: Sequence[Sequence[Lesion]]) -> dict[str, Any]:
    hits, counts = [sum(x.hit for x in case) for case in cases], [len(case) for case in cases]
    share = sum(hits) / sum(counts) if sum(counts) else None
    bounds = ratio_interval(hits, counts) if share is not None else None
    return {"n": sum(counts), "hits": sum(hits), "share": share, "interval": bounds}


def _froc(true: Sequence[Lesion], predicted: Sequence[Lesion], cases: int) -> dict[str, Any] | None:
    if not true or not cases:
        return None
    from monai.metrics.froc import compute_froc_curve_data, compute_froc_score

    # MONAI leaves out the lowest threshold; the 0 in front makes that one that no lesion has.
    scores = np.array([0.0, *(x.score for x in true)])
    false = np.array([x.score for x in predicted if not x.hit])
    rates, recalls = compute_froc_curve_data(false, scores, len(true), cases)
    at_rates = np.interp(FROC_RATES, rates[::-1], recalls[::-1])
    return {
        "score": float(compute_froc_score(rates, recalls, FROC_RATES)),
        "recall_at_false_per_case": {f"{rate:g}": float(r) for rate, r in zip(FROC_RATES, at_rates, strict=True)},
        "false_per_case": rates[::-1].tolist(),
        "recall": recalls[::-1].tolist(),
    }  # fmt: skip


def _by_diameter(true: Sequence[Sequence[Lesion]], predicted: Sequence[Sequence[Lesion]]) -> list[dict[str, Any]]:
    groups = []
    for low, high in DIAMETER_GROUPS_MM:
        inside = [[[x for x in case if low <= x.diameter_mm < high] for case in kind] for kind in (true, predicted)]
        recall, precision = _ratio(inside[0]), _ratio(inside[1])
        if recall["n"] or precision["n"]:
            groups.append({
                "group": group_name(low, high), "true": recall["n"], "recall": recall["share"],
                "recall_interval": recall["interval"], "predicted": precision["n"], "precision": precision["share"],
            })  # fmt: skip
    return groups
