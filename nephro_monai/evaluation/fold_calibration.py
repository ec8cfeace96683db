"""Temperature and decision limits of one fold, from cases that its networks were not trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nephro_monai.constants import CLASS_NAMES
from nephro_monai.engine.manifest import read_diagnosis
from nephro_monai.io.atomic import atomic_path
from nephro_monai.metrics.verdict_calibration import fewest_malignant, fit_calibration, pooled_log_odds
from nephro_monai.structures import Calibration

__all__ = ["CALIBRATION_FILE", "FoldCalibration", "calibrate_fold", "patient_log_odds"]

CALIBRATION_FILE = "calibration.json"

_BENIGN, _MALIGNANT = CLASS_NAMES


@dataclass(frozen=True)
class FoldCalibration:
    """What came of a fold's calibration.

    Attributes:
        calibration: Temperature and limits; None where they cannot be fitted.
        text: What it is, or why it is not, in a sentence.
    """

    calibration: Calibration | None
    text: str


def calibrate_fold(
    predictions: Path, cases: Sequence[str], malignant: Mapping[str, bool | None], sensitivity: float | None = None
) -> FoldCalibration:
    """Fits the calibration on predicted cases and writes `calibration.json` beside them.

    Where none can be fitted, the file holds the reason alone (`text`).

    Args:
        predictions: Folder of the predictions of the calibration cases, made without a calibration.
        cases: Their names.
        malignant: The truth by case; cases without it are left out.
        sensitivity: Share of malignant patients that must not be called benign; None for no abstention.

    Raises:
        OutputError: If the file cannot be written.
    """
    found = []
    for case in cases:
        odds = patient_log_odds(read_diagnosis(predictions / case) or {})
        if malignant.get(case) is not None and odds is not None:
            found.append((odds, bool(malignant[case])))
    positives = sum(truth for _, truth in found)
    counts = f"{len(found)} calibration patients ({positives} malignant, {len(found) - positives} benign)"
    if not 0 < positives < len(found):
        text = f"not calibrated: {counts} have a classified tumor, both classes are needed."
        _write(predictions, {"text": text})
        return FoldCalibration(None, text)
    fitted = fit_calibration([o for o, _ in found], [t for _, t in found], sensitivity)
    text = f"temperature {fitted.temperature:.2f}, {_limits(fitted)}, fitted on {counts}."
    if sensitivity is not None and fitted.benign_below == 0:
        text += (
            f" Nothing is called benign: a sensitivity of {sensitivity:.0%} takes {fewest_malignant(sensitivity)} "
            "malignant calibration patients."
        )
    _write(predictions, {**asdict(fitted), "text": text})
    return FoldCalibration(fitted, text)


def _write(predictions: Path, content: Mapping[str, Any]) -> None:
    with atomic_path(predictions / CALIBRATION_FILE) as path:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def patient_log_odds(diagnosis: Mapping[str, Any]) -> float | None:
    """The pooled log-odds that a calibration scales, from a diagnosis.json; None without a classified slice.

    Of patient-level models their mean; else that of the tumor that is most probably malignant, from its slices.
    """
    if models := diagnosis.get("models"):
        return pooled_log_odds([model["probability_malignant"] for model in models])
    silent = {tumor["index"] for tumor in diagnosis.get("tumors") or () if not tumor.get("has_say", True)}
    tumors: dict[int, list[float]] = {}
    for entry in diagnosis.get("slices") or ():
        probabilities = entry["probabilities"]
        if probabilities is not None and entry["vote"] in (None, *CLASS_NAMES):
            share = probabilities[_BENIGN] + probabilities[_MALIGNANT]
            tumors.setdefault(entry["tumor"], []).append(probabilities[_MALIGNANT] / share if share else 0.5)
    heard = [values for tumor, values in tumors.items() if tumor not in silent]
    pooled = [odds for values in heard if (odds := pooled_log_odds(values)) is not None]
    return max(pooled, default=None)


def _limits(fitted: Calibration) -> str:
    if fitted.benign_below == fitted.malignant_from:
        return f"malignant from {fitted.malignant_from:.2f}"
    return f"benign below {fitted.benign_below:.2f}, malignant from {fitted.malignant_from:.2f}"
