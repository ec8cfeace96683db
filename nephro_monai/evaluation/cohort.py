"""Which predictions there are, and which truth."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nephro_monai.constants import CLASS_NAMES
from nephro_monai.errors import TrainingDataError

__all__ = [
    "Cohort",
    "PredictedCase",
    "PredictedSlice",
    "TruthCase",
    "find_predictions",
    "label_maps",
    "read_cohort",
    "read_records",
]

_FLAT_NAME = re.compile(r"prediction_(\d{5})\.nii(\.gz)?")


@dataclass(frozen=True)
class PredictedSlice:
    """One classified slice, from diagnosis.json.

    Attributes:
        index: Position along the file's own axial axis.
        probability: Of malignancy, 0..1.
        vote: The more probable class.
    """

    index: int
    probability: float
    vote: str | None


@dataclass(frozen=True)
class PredictedCase:
    """What a run left of one case.

    Attributes:
        segmentation: Its label map; None if the run failed on the case.
        verdict: From diagnosis.json; None without one.
        probability: Of malignancy, from diagnosis.json: calibrated where it is, else the mean over the slices.
        seconds: From the run's summary.csv; None for cases that were skipped or run otherwise.
        reason: Why there is no label map: what summary.csv says of the failure, or why the files are of no use.
        slices: The slices that were classified.
    """

    segmentation: Path | None
    verdict: str | None = None
    probability: float | None = None
    seconds: float | None = None
    reason: str = ""
    slices: tuple[PredictedSlice, ...] = ()


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
    """A data folder in KiTS19's layout.

    Attributes:
        folder: As given.
        cases: Those with a true label map.
        notes: What is doubtful about kits.json, in sentences.
    """

    folder: Path
    cases: tuple[TruthCase, ...]
    notes: tuple[str, ...] = ()

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

    Args:
        folder: Folder of the cases, or the parent of its `data/`.

    Raises:
        TrainingDataError: If there is no case with a label map, or kits.json is broken.
    """
    root = folder if any(folder.glob("*/segmentation.nii.gz")) else folder / "data"
    paths = sorted(root.glob("*/segmentation.nii.gz"))
    if not paths:
        raise TrainingDataError(
            f"No case with a true label map in {folder}: give a folder in KiTS19's layout "
            "(case_00000/segmentation.nii.gz, ..., kits.json)."
        )
    records, notes = read_records(root / "kits.json")
    cases = tuple(TruthCase(p.parent.name, p, records.get(p.parent.name, {})) for p in paths)
    if unlisted := [case.name for case in cases if not case.record]:
        notes.append(f"kits.json has no record of {_names(unlisted)}: malignancy and size are unknown there.")
    return Cohort(folder, cases, tuple(notes))


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
    for name, paths in sorted(label_maps(folder).items()):
        if len(paths) > 1:
            both = " and ".join(str(path.relative_to(folder)) for path in paths)
            found[name] = PredictedCase(None, reason=f"There are {len(paths)} predictions ({both}); keep one.")
        elif name not in found:
            found[name] = _predicted(paths[0], rows.get(name, {}))
    if not found:
        raise TrainingDataError(
            f"No prediction in {folder}: give the output folder of `nephro predict` (case_00000/segmentation.nii.gz) "
            "or a folder with prediction_00000.nii.gz files."
        )
    return found


def label_maps(folder: Path) -> dict[str, list[Path]]:
    """Label maps by case, in either layout: case_00000/segmentation.nii.gz and prediction_00000.nii.gz."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*/segmentation.nii.gz")):
        found.setdefault(path.parent.name, []).append(path)
    for path in sorted(folder.glob("prediction_*.nii*")):
        if match := _FLAT_NAME.fullmatch(path.name):
            found.setdefault(f"case_{match[1]}", []).append(path)
    return found


def _cases(count: int) -> str:
    return f"{count} case{'' if count == 1 else 's'}"


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _predicted(path: Path, row: Mapping[str, str]) -> PredictedCase:
    diagnosis: dict[str, Any] = {}
    try:
        if path.name == "segmentation.nii.gz" and (file := path.with_name("diagnosis.json")).is_file():
            diagnosis = json.loads(file.read_text(encoding="utf-8"))
        slices = tuple(_slices(diagnosis))
        probability = _patient_probability(diagnosis)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return PredictedCase(None, reason=f"its diagnosis.json is not valid JSON of a diagnosis ({error!r})")
    try:
        seconds = float(row.get("seconds") or "nan")
    except ValueError:
        seconds = float("nan")
    return PredictedCase(
        segmentation=path, verdict=diagnosis.get("verdict"), probability=probability,
        seconds=seconds if seconds == seconds else None, slices=slices,
    )  # fmt: skip


def _patient_probability(diagnosis: Mapping[str, Any]) -> float | None:
    """As the verdict is made: any malignant tumor decides, so the most probably malignant tumor gives the patient's."""
    value = diagnosis.get("probability_malignant")
    if value is None and not diagnosis.get("models"):  # those judge the patient, not tumors
        heard = [tumor for tumor in diagnosis.get("tumors") or () if tumor.get("has_say", True)]
        means = [tumor.get("mean_probability_malignant") for tumor in heard]
        value = max((_probability(mean) for mean in means if mean is not None), default=None)
    if value is None:
        value = diagnosis.get("mean_probability_malignant")
    return None if value is None else _probability(value)


def _slices(diagnosis: Mapping[str, Any]) -> Iterator[PredictedSlice]:
    for entry in diagnosis.get("slices") or ():
        if (probabilities := entry["probabilities"]) is not None and CLASS_NAMES[1] in probabilities:
            yield PredictedSlice(
                int(entry["native_slice_index"]), _probability(probabilities[CLASS_NAMES[1]]), entry["vote"]
            )


def _probability(value: Any) -> float:
    if not 0 <= float(value) <= 1:
        raise ValueError(f"a probability is in 0..1, got {value}")
    return float(value)


def _summary_rows(path: Path) -> dict[str, dict[str, str]]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["case"]: row for row in csv.DictReader(file) if row.get("case")}


def read_records(path: Path) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Records of a kits.json by case, and what is doubtful about them; a case with two different records gets none.

    Raises:
        TrainingDataError: If the file is broken.
    """
    if not path.is_file():
        return {}, []
    try:
        listed = [(record["case_id"], record) for record in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError, KeyError) as error:
        raise TrainingDataError(f"{path} must be a list of records with a case_id ({error!r}). Restore it.") from error
    records: dict[str, dict[str, Any]] = {}
    clashing = {name for name, record in listed if records.setdefault(name, record) != record}
    notes = [f"kits.json has different records of {_names(sorted(clashing))}; none is used."] if clashing else []
    return {name: record for name, record in records.items() if name not in clashing}, notes
