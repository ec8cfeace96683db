"""From records of held-out cases to figures with intervals."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from nephro_monai.constants import CLASS_NAMES
from nephro_monai.evaluation.bootstrap import mean_with_interval, ratio_interval
from nephro_monai.evaluation.malignancy import CaseCalls, score_calls

__all__ = ["SMALL_MASS_MM", "FigureValue", "baseline_figures", "row_figures"]

SMALL_MASS_MM = 40.0
"""Zhou 2019: small masses have a largest diameter below 4 cm."""

_SCORES = (
    "accuracy", "balanced_accuracy", "sensitivity", "specificity", "ppv", "npv", "f1", "f1_benign", "mcc", "auc",
)  # fmt: skip
_SIZES: dict[str, Callable[[float | None], bool]] = {
    "": lambda size: True,
    ".small": lambda size: size is not None and size < SMALL_MASS_MM,
    ".large": lambda size: size is not None and size >= SMALL_MASS_MM,
}

Record = Mapping[str, Any]


class FigureValue(TypedDict):
    """A figure of the held-out cases; None where it is not defined.

    Attributes:
        value: The figure.
        interval: 95 %, by bootstrap over cases.
        over: What it is a figure of.
    """

    value: float | None
    interval: list[float] | None
    over: str


def row_figures(
    records: Sequence[Record], sizes_mm: Mapping[str, float | None], keys: Collection[str] | None = None
) -> dict[str, FigureValue]:
    """All figures that the records of a row give.

    Several records of a case (one per seed) count together: an interval draws cases, with all their answers.

    Args:
        records: From `score_row`.
        sizes_mm: Tumor diameter of each case; None where it is not known.
        keys: Which figures are wanted; calls that none of them is of are left out. All by default.

    Returns:
        By key: `CALLS[.small|.large].SCORE` for the calls "slice" (every slice), "largest" (the slice with the largest
        tumor area) and "vote" (majority of a patient's slices; a tie is wrong, a patient-level answer is a vote of
        one); `slice_accuracy` where slices have classes of their own; `kidney_dice`, `tumor_dice`, and `real_...` of
        the cases of `ExperimentOptions.real`; `recall`, `precision` and `recall_all`, `precision_all` of detections.
    """
    figures: dict[str, FigureValue] = {}
    for name in ("slice", "largest", "vote"):
        for suffix, fits in _SIZES.items():
            if keys is not None and not any(key.rpartition(".")[0] == f"{name}{suffix}" for key in keys):
                continue
            calls = _calls([record for record in records if fits(sizes_mm.get(record["case"]))], name)
            figures |= _scored(f"{name}{suffix}", calls)
    for name in ("kidney_dice", "tumor_dice", "real_kidney_dice", "real_tumor_dice"):
        means = _means(records, name)
        if means:
            entry = mean_with_interval(means)
            figures[name] = {"value": entry["mean"], "interval": entry["interval"], "over": f"{entry['n']} cases"}
    return {**figures, **_slice_accuracy(records), **_detection(records)}


def baseline_figures(
    records: Sequence[Record], sizes_mm: Mapping[str, float | None], keys: Collection[str] | None = None
) -> dict[str, FigureValue]:
    """What always answering "malignant" scores on the same slices and patients, by the keys of `row_figures`."""
    always = {"verdict": CLASS_NAMES[1], "probability": None}
    made = [
        {
            "case": record["case"], "malignant": record.get("malignant"),
            "slices": [{**answer, **always} for answer in record.get("slices", ())],
        }
        for record in records
    ]  # fmt: skip
    return row_figures(made, sizes_mm, keys)


def _scored(name: str, calls: Sequence[CaseCalls]) -> dict[str, FigureValue]:
    if not calls:
        return {}
    scores = score_calls(calls)
    benign = sum(not call.malignant for call in calls)
    over = f"{len(calls) - benign} malignant, {benign} benign cases"
    if scores["n"] > len(calls):
        over += f", {scores['n']} answers"
    bounds = scores["intervals"]
    return {f"{name}.{key}": {"value": scores[key], "interval": bounds.get(key), "over": over} for key in _SCORES}


def _calls(records: Sequence[Record], name: str) -> list[CaseCalls]:
    """Calls per case, over all its records."""
    found: dict[str, tuple[bool, list[str | None], list[float | None]]] = {}
    for record in records:
        answers = [slice_ for slice_ in record.get("slices", ()) if name != "largest" or slice_.get("largest")]
        if record.get("malignant") is None or not _has_calls(record, name):
            continue
        _, verdicts, probabilities = found.setdefault(record["case"], (bool(record["malignant"]), [], []))
        if name == "vote":
            verdict, probability = _vote(answers)
            verdicts.append(verdict)
            probabilities.append(probability)
        else:
            tumor = [s for s in answers if s.get("truth", CLASS_NAMES[1]) in CLASS_NAMES]
            verdicts += [s["verdict"] for s in tumor]
            probabilities += [s["probability"] for s in tumor]
    return [CaseCalls(truth, tuple(v), tuple(p)) for truth, v, p in found.values() if v]


def _has_calls(record: Record, name: str) -> bool:
    answers = record.get("slices", ())
    return bool(answers) if name != "largest" else any(s.get("largest") for s in answers)


def _vote(answers: Iterable[Mapping[str, Any]]) -> tuple[str | None, float | None]:
    """Majority of the answers that are benign or malignant; a tie and no such answer are no call."""
    voting = [answer for answer in answers if answer["verdict"] in CLASS_NAMES]
    if not voting:
        return None, None
    malignant = sum(answer["verdict"] == CLASS_NAMES[1] for answer in voting)
    known = [answer["probability"] for answer in voting if answer["probability"] is not None]
    probability = float(np.mean(known)) if known else None
    if 2 * malignant == len(voting):
        return None, probability
    return CLASS_NAMES[int(2 * malignant > len(voting))], probability


def _means(records: Sequence[Record], name: str) -> list[float]:
    """Mean of each case over its records."""
    found: dict[str, list[float]] = {}
    for record in records:
        if record.get(name) is not None:
            found.setdefault(record["case"], []).append(float(record[name]))
    return [float(np.mean(values)) for values in found.values()]


def _slice_accuracy(records: Sequence[Record]) -> dict[str, FigureValue]:
    """Share of slices whose class (benign, malignant, normal) is right."""
    right: dict[str, int] = {}
    known: dict[str, int] = {}
    for record in records:
        for answer in record.get("slices", ()):
            if answer.get("truth"):
                case = record["case"]
                right[case] = right.get(case, 0) + (answer["truth"] == answer["verdict"])
                known[case] = known.get(case, 0) + 1
    if not known:
        return {}
    parts, wholes = [right[case] for case in known], list(known.values())
    over = f"{sum(wholes)} slices of {len(known)} cases"
    return {"slice_accuracy": _ratio(parts, wholes, over)}


def _detection(records: Sequence[Record]) -> dict[str, FigureValue]:
    figures: dict[str, FigureValue] = {}
    for key, suffix, where in (("kidney_slices", "", "with a kidney"), ("all_slices", "_all", "with and without")):
        counts: dict[str, np.ndarray] = {}
        for record in records:
            if key in record:
                counts[record["case"]] = counts.get(record["case"], np.zeros(3, int)) + np.array(record[key])
        if counts:
            true, false, missed = np.array(list(counts.values())).T
            over = f"{len(counts)} cases, slices {where}"
            figures[f"recall{suffix}"] = _ratio(true, true + missed, f"{true.sum() + missed.sum()} boxes of {over}")
            figures[f"precision{suffix}"] = _ratio(true, true + false, f"{true.sum() + false.sum()} found in {over}")
    return figures


def _ratio(parts: Sequence[float] | np.ndarray, wholes: Sequence[float] | np.ndarray, over: str) -> FigureValue:
    whole = float(np.sum(wholes))
    value = float(np.sum(parts)) / whole if whole else None
    return {"value": value, "interval": ratio_interval(list(parts), list(wholes)), "over": over}
