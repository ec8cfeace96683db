"""The folds of a cross-validation as a file: who is trained on, calibrated on and scored in which fold."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from nephro_monai.constants import CLASS_NAMES
from nephro_monai.data.splits import Split, stratified_fold
from nephro_monai.errors import TrainingDataError
from nephro_monai.io.atomic import atomic_path

__all__ = ["FoldPlan", "PlannedFold", "Stratify", "dataset_fingerprint", "named_split", "plan_folds", "read_fold_plan"]

Stratify = Literal["malignancy", "none"]

_FORMAT = 1
_BENIGN, _MALIGNANT = CLASS_NAMES


@dataclass(frozen=True)
class PlannedFold:
    """Names of the cases of one fold; no patient is in two of the three.

    Attributes:
        test: Held out: predicted and scored, seen by nothing before.
        training: What the networks are trained on.
        calibration: Held out of the training of the networks, to fit temperature and thresholds on; may be empty.
    """

    test: tuple[str, ...]
    training: tuple[str, ...]
    calibration: tuple[str, ...]


@dataclass(frozen=True)
class FoldPlan:
    """A cross-validation's folds.

    Attributes:
        fingerprint: Of the data set, from `dataset_fingerprint`.
        seed: Of the shuffles.
        stratify: What the folds are stratified by.
        folds: In order.
        notes: What is doubtful about them for a system that classifies, in sentences.
    """

    fingerprint: str
    seed: int
    stratify: Stratify
    folds: tuple[PlannedFold, ...]
    notes: tuple[str, ...] = ()

    def write(self, path: Path) -> None:
        """Writes the plan as JSON.

        Raises:
            OutputError: If the file cannot be written.
        """
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps({"format": _FORMAT, **asdict(self)}, indent=2) + "\n", encoding="utf-8")


def plan_folds(
    cases: Sequence[dict[str, Any]],
    folds: int = 5,
    stratify: Stratify = "malignancy",
    seed: int = 0,
    calibration_fraction: float = 0.2,
) -> FoldPlan:
    """Divides a data set into folds, and each fold's training cases into training and calibration.

    Both divisions keep a patient's cases together and are stratified by malignancy (the first one unless `stratify` is
    "none"). The calibration part holds a patient of either class; where the training cases of a fold have fewer than
    two patients of a class, there is none, and a note says so.

    Args:
        cases: From `list_training_cases`.
        folds: How many, at least 2.
        stratify: "malignancy" or "none".
        seed: Of the shuffles.
        calibration_fraction: Share of each fold's training patients for calibration, 0 (none) to 0.5.

    Raises:
        TrainingDataError: If there are fewer patients than folds.
        ValueError: If a setting is out of range.
    """
    if stratify not in get_args(Stratify) or folds < 2 or not 0 <= calibration_fraction <= 0.5:
        raise ValueError(
            f"Folds are at least 2, stratified by {' or '.join(get_args(Stratify))}, with a calibration_fraction in "
            f"0..0.5; got {folds}, {stratify!r} and {calibration_fraction}."
        )
    patients = {_patient(case) for case in cases}
    if len(patients) < folds:
        raise TrainingDataError(
            f"{folds} folds need at least {folds} patients with image and label map, got {len(patients)}. "
            "Add cases, or lower the number of folds (2 is the least)."
        )
    # scikit-learn refuses to stratify where no class has a case for every fold; those folds are divided as they come.
    largest = max(Counter(case.get("malignant") for case in cases).values())
    label_key = "malignant" if stratify == "malignancy" and largest >= folds else ""
    planned = []
    notes = []
    for index in range(folds):
        with warnings.catch_warnings():
            # Cases of a class may be fewer than folds: the notes say what follows from it.
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            split = stratified_fold(cases, index, folds, seed, label_key)
            inner = _calibration_split(split.training, seed, calibration_fraction)
        planned.append(PlannedFold(_names(split.validation), _names(inner.training), _names(inner.validation)))
        calibrated = {True, False} <= {case.get("malignant") for case in inner.validation}
        notes += _doubts(index, split, calibrated or calibration_fraction == 0)
    return FoldPlan(dataset_fingerprint(cases), seed, stratify, tuple(planned), tuple(notes))


def read_fold_plan(path: Path, cases: Sequence[dict[str, Any]]) -> FoldPlan:
    """Reads the folds of a data set.

    Args:
        path: Written by `FoldPlan.write`.
        cases: The data set that the folds must be of.

    Raises:
        TrainingDataError: If the file is broken or of another data set, if its folds share a patient between their
            parts, or if a case is not held out exactly once.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != _FORMAT:
            raise ValueError(f"its format is not {_FORMAT}")
        folds = tuple(PlannedFold(**{k: tuple(v) for k, v in fold.items()}) for fold in content.pop("folds"))
        plan = FoldPlan(**{**content, "folds": folds, "notes": tuple(content["notes"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingDataError(f"{path} is no file of folds ({error}). Remove it, or give another.") from error
    planned = {name for fold in plan.folds for name in fold.test}
    present = {str(case["case"]) for case in cases}
    if planned != present:
        differing = sorted(planned ^ present)
        raise TrainingDataError(
            f"{path} is of another data set: it has {len(planned)} cases, the data folder {len(present)}, and "
            f"{len(differing)} are in one of them only ({', '.join(differing[:3])}). Give the data it was made for, "
            "or start in another folder."
        )
    if plan.fingerprint != dataset_fingerprint(cases):
        raise TrainingDataError(
            f"{path} is of another data set: the cases have the same names, but other images, label maps or records. "
            "Give the data it was made for, or start in another folder."
        )
    _check_disjoint(plan, path, {str(case["case"]): _patient(case) for case in cases})
    return plan


def dataset_fingerprint(cases: Sequence[dict[str, Any]]) -> str:
    """SHA-256 over names, patients, malignancy, label maps and image sizes, whatever the order and the folder."""
    rows = []
    for case in sorted(cases, key=lambda case: str(case["case"])):
        with Path(case["label"]).open("rb") as file:
            labels = hashlib.file_digest(file, "sha256").hexdigest()
        image_bytes = Path(case["image"]).stat().st_size
        rows.append([case["case"], _patient(case), case.get("malignant"), image_bytes, labels])
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def named_split(cases: Sequence[dict[str, Any]], training: Sequence[str], validation: Sequence[str] = ()) -> Split:
    """A split by names, for the `split` of a bundle's train.json.

    Args:
        cases: From `list_training_cases`.
        training: Names of the cases to train on.
        validation: Names of the cases to validate on.

    Raises:
        TrainingDataError: If a name is not among the cases: a file that the training needs is missing.
    """
    by_name = {str(case["case"]): case for case in cases}
    absent = [name for name in (*training, *validation) if name not in by_name]
    if absent:
        raise TrainingDataError(
            f"{', '.join(absent[:3])} ({len(absent)} of {len(training) + len(validation)} cases of this fold) lack a "
            "file that this training needs."
        )
    return Split([by_name[name] for name in training], [by_name[name] for name in validation])


def _check_disjoint(plan: FoldPlan, path: Path, patients: Mapping[str, str]) -> None:
    """Refuses folds that would score a network on what it was trained or calibrated on."""
    advice = "Give a file as `nephro cross-validate` wrote it, or none for new folds."
    for index, fold in enumerate(plan.folds):
        seen: dict[str, tuple[str, str]] = {}  # by patient: the part and the case it was met in
        for part, names in asdict(fold).items():
            for name in names:
                if name not in patients:
                    raise TrainingDataError(f"{path}: {name} ({part} of fold {index}) is no case of the data. {advice}")
                other, case = seen.setdefault(patients[name], (part, name))
                if other != part:
                    what = f"{name} is" if case == name else f"the patient of {name} and {case} is"
                    raise TrainingDataError(f"{path}: in fold {index}, {what} in {other} and in {part}. {advice}")
        if not fold.test or not fold.training:
            part = "training" if fold.test else "test"
            raise TrainingDataError(f"{path}: fold {index} has no {part} case. {advice}")
    held_out = Counter(name for fold in plan.folds for name in fold.test)
    repeated = [name for name, times in sorted(held_out.items()) if times > 1]
    if repeated:
        folds = [str(index) for index, fold in enumerate(plan.folds) for name in fold.test if name == repeated[0]]
        raise TrainingDataError(
            f"{path}: {repeated[0]} is tested {len(folds)} times (folds {', '.join(folds)}), once is right. {advice}"
        )


def _calibration_split(cases: list[dict[str, Any]], seed: int, fraction: float) -> Split:
    """The share that is as near to `fraction` as a patient of either class in it allows."""
    per_class = [len({_patient(c) for c in cases if c.get("malignant") is m}) for m in (False, True)]
    parts = min(round(1 / fraction), *per_class) if fraction > 0 else 0
    return stratified_fold(cases, 0, parts, seed) if parts >= 2 else Split(cases, [])


def _doubts(index: int, split: Split, calibrated: bool) -> list[str]:
    known = {case.get("malignant") for case in split.validation}
    notes = []
    for name, kind, missing in ((_BENIGN, False, "specificity"), (_MALIGNANT, True, "sensitivity")):
        if kind not in known:
            notes.append(f"Fold {index} holds no {name} case: its {missing} and AUC are not defined.")
    if not calibrated:
        notes.append(
            f"Fold {index} is not calibrated: two training patients of each class, benign and malignant, are needed."
        )
    return notes


def _names(cases: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(str(case["case"]) for case in cases)


def _patient(case: dict[str, Any]) -> str:
    return str(case.get("patient") or case["case"])
