"""Which predictions there are, and which truth."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nephro_monai.errors import TrainingDataError

__all__ = ["Cohort", "PredictedCase", "TruthCase", "find_predictions", "read_cohort"]

_FLAT_NAME = re.compile(r"prediction_(\d{5})\.nii(\.gz)?")


@dataclass(frozen=True)
class PredictedCase:
    """What a run left of one case.

    Attributes:
        segmentation: Its label map; None if the run failed on the case.
        verdict: From diagnosis.json; None without one.
        probability: Mean probability of malignancy, from diagnosis.json.
        seconds: From the run's summary.csv; None for cases that were skipped or run otherwise.
        reason: Why the run failed on it, from summary.csv.
    """

    segmentation: Path | None
    verdict: str | None = None
    probability: float | None = None
    seconds: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class TruthCase:
    """One case of the data folder.

    Attributes:
        name: Such as case_00000.
        segmentation: Its true label map.
        record: From kits.json; empty if it is not listed.
    """

    name: str
    segmentation: Path
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def malignant(self) -> bool | None:
        """Whether its tumor is malignant; None where kits.json does not say."""
        value = self.record.get("malignant")
        return None if value is None else bool(value)

    @property
    def diameter_mm(self) -> float | None:
        """`radiographic_size` of kits.json (cm) in mm."""
        value = self.record.get("radiographic_size")
        return float(value) * 10 if isinstance(value, int | float) else None


@dataclass(frozen=True)
class Cohort:
    """A data folder in KiTS19's layout."""

    folder: Path
    cases: tuple[TruthCase, ...]

    @property
    def synthetic(self) -> int:
        """How many cases kits.json marks as synthetic."""
        return sum(bool(case.record.get("synthetic")) for case in self.cases)

    @property
    def description(self) -> str:
        """Where the data come from, in a sentence."""
        if not self.synthetic:
            return f"{_cases(len(self.cases))}; kits.json marks none as synthetic."
        phantoms = [case.record.get("phantom") or {} for case in self.cases if case.record.get("synthetic")]
        around = sum(phantom.get("source_label_case") is not None for phantom in phantoms)
        kinds = [(around, "around real label maps"), (len(phantoms) - around, "of procedural anatomy")]
        text = f"Synthetic CT: {', '.join(f'{_cases(n)} {kind}' for n, kind in kinds if n)}"
        others = len(self.cases) - len(phantoms)
        return text + (f"; not marked as synthetic: {_cases(others)}." if others else ".")


def read_cohort(folder: Path) -> Cohort:
    """Finds the cases of a data folder that have a true label map, and their records in kits.json.

    Raises:
        TrainingDataError: If there is no case with a label map, or kits.json is broken.
    """
    paths = sorted(folder.glob("*/segmentation.nii.gz"))
    if not paths:
        raise TrainingDataError(
            f"No case with a true label map in {folder}: give a folder in KiTS19's layout "
            "(case_00000/segmentation.nii.gz, ..., kits.json)."
        )
    records = _records(folder / "kits.json")
    return Cohort(folder, tuple(TruthCase(p.parent.name, p, records.get(p.parent.name, {})) for p in paths))


def find_predictions(folder: Path) -> dict[str, PredictedCase]:
    """Finds predictions by case name.

    Args:
        folder: Output of `nephro predict` (case_00000/segmentation.nii.gz and diagnosis.json, summary.csv), or
            label maps named as for the challenge (prediction_00000.nii.gz).

    Raises:
        TrainingDataError: If it holds neither.
    """
    rows = _summary_rows(folder / "summary.csv")
    found = {name: PredictedCase(None, reason=row.get("reason") or "the run failed on it")
             for name, row in rows.items() if row.get("status") == "failed"}  # fmt: skip
    for path in sorted(folder.glob("*/segmentation.nii.gz")):
        name = path.parent.name
        if name not in found:
            found[name] = _predicted(path, rows.get(name, {}))
    for path in sorted(folder.glob("prediction_*.nii*")):
        if match := _FLAT_NAME.fullmatch(path.name):
            found.setdefault(f"case_{match[1]}", PredictedCase(path))
    if not found:
        raise TrainingDataError(
            f"No prediction in {folder}: give the output folder of `nephro predict` (case_00000/segmentation.nii.gz) "
            "or a folder with prediction_00000.nii.gz files."
        )
    return found


def _cases(count: int) -> str:
    return f"{count} case{'' if count == 1 else 's'}"


def _predicted(path: Path, row: Mapping[str, str]) -> PredictedCase:
    try:
        diagnosis = json.loads(path.with_name("diagnosis.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        diagnosis = {}
    except ValueError as error:
        return PredictedCase(None, reason=f"its diagnosis.json is not valid JSON ({error})")
    try:
        seconds = float(row.get("seconds") or "nan")
    except ValueError:
        seconds = float("nan")
    return PredictedCase(
        segmentation=path, verdict=diagnosis.get("verdict"), probability=diagnosis.get("mean_probability_malignant"),
        seconds=seconds if seconds == seconds else None,
    )  # fmt: skip


def _summary_rows(path: Path) -> dict[str, dict[str, str]]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["case"]: row for row in csv.DictReader(file) if row.get("case")}


def _records(path: Path) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        return {}
    try:
        return {record["case_id"]: record for record in json.loads(path.read_text(encoding="utf-8"))}
    except (ValueError, TypeError, KeyError) as error:
        raise TrainingDataError(f"{path} must be a list of records with a case_id ({error!r}). Restore it.") from error
