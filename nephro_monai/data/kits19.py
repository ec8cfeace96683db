"""Finds the training cases of a folder in KiTS19 layout."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nephro_monai.data.subtypes import malignancy_of_subtype
from nephro_monai.errors import TrainingDataError

__all__ = ["lacking_files", "list_training_cases"]

_FILES = {"imaging": "imaging.nii.gz", "segmentation": "segmentation.nii.gz", "tissues": "tissues.nii.gz"}
_KEYS = {"imaging": "image", "segmentation": "label", "tissues": "tissues"}
_CASE_FOLDER = re.compile(r"case_\d{5}")


def list_training_cases(
    dataset_dir: str | Path,
    require: Sequence[str] = ("imaging", "segmentation"),
    need_malignancy: bool = False,
) -> list[dict[str, Any]]:
    """Lists the cases of `dataset_dir` that have all required files, in order of their names.

    Args:
        dataset_dir: KiTS19's root or its `data` folder: `case_00000/imaging.nii.gz`,
            `case_00000/segmentation.nii.gz`, optionally `case_00000/tissues.nii.gz`, and `kits.json`.
        require: Files each case must have: "imaging", "segmentation", "tissues". Cases without (the 90 test
            cases of KiTS19) are left out.
        need_malignancy: Refuse cases of which `kits.json` does not say whether they are malignant.

    Returns:
        One dictionary per case: `case`, the paths under `image`, `label` and `tissues` (of the required files
        and those that exist), `malignant` (bool or None; where the record does not say, what the subtype says, see
        `subtypes`), `subtype` (str or None), and `patient`: the case itself, or the case whose label map a synthetic
        one was made around, so that splits by patient keep one anatomy on one side.

    Raises:
        TrainingDataError: If the folder, all cases, or required facts are missing.
        ValueError: If `require` names an unknown file.
    """
    _check_names(require)
    root = _data_root(Path(dataset_dir))
    records = _clinical_records(root, needed=need_malignancy)
    cases = []
    for folder in sorted(p for p in root.iterdir() if p.is_dir() and _CASE_FOLDER.fullmatch(p.name)):
        present = {name: folder / file for name, file in _FILES.items() if (folder / file).is_file()}
        if not all(name in present for name in require):
            continue
        record = records.get(folder.name, {})
        case: dict[str, Any] = {_KEYS[name]: str(path) for name, path in present.items()}
        case |= {
            "case": folder.name,
            "patient": _source_label_case(record) or folder.name,
            "malignant": _malignant(record),
            "subtype": record.get("tumor_histologic_subtype"),
        }
        cases.append(case)
    _check(cases, root, require, need_malignancy)
    return cases


def lacking_files(case: Mapping[str, Any], require: Sequence[str]) -> list[str]:
    """Names of the required files that a case does not have.

    Args:
        case: From `list_training_cases`.
        require: As there.

    Raises:
        ValueError: If `require` names an unknown file.
    """
    _check_names(require)
    return [_FILES[name] for name in require if _KEYS[name] not in case]


def _check_names(require: Sequence[str]) -> None:
    unknown = sorted(set(require) - set(_FILES))
    if unknown:
        raise ValueError(f"require names unknown files {unknown}; allowed are {sorted(_FILES)}.")


def _data_root(folder: Path) -> Path:
    if not folder.is_dir():
        raise TrainingDataError(f"{folder} is no folder. Give the folder that holds case_00000, case_00001, ...")
    nested = folder / "data"
    has_cases = any(_CASE_FOLDER.fullmatch(p.name) for p in folder.iterdir())
    return nested if not has_cases and nested.is_dir() else folder


def _clinical_records(root: Path, needed: bool) -> dict[str, dict[str, Any]]:
    path = root / "kits.json"
    if not path.is_file():
        if needed:
            raise TrainingDataError(
                f"{path} is missing; it says which cases are malignant. Copy KiTS19's next to them."
            )
        return {}
    try:
        return {record["case_id"]: record for record in json.loads(path.read_text())}
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingDataError(
            f"{path} cannot be read ({error!r}); it must be a JSON list of records with 'case_id', as in KiTS19."
        ) from error


def _source_label_case(record: dict[str, Any]) -> str | None:
    """The KiTS19 case whose label map a synthetic case was made around; None for all others."""
    phantom = record.get("phantom")
    return phantom.get("source_label_case") if isinstance(phantom, dict) else None


def _malignant(record: dict[str, Any]) -> bool | None:
    malignant = record.get("malignant")
    return malignant if isinstance(malignant, bool) else malignancy_of_subtype(record.get("tumor_histologic_subtype"))


def _check(cases: list[dict[str, Any]], root: Path, require: Sequence[str], need_malignancy: bool) -> None:
    if not cases:
        files = ", ".join(f"case_?????/{_FILES[name]}" for name in require)
        raise TrainingDataError(
            f"{root} holds no training case: none has {files}. "
            "Give a folder in KiTS19 layout, or make one with `nephro phantom`."
        )
    unlabeled = [c["case"] for c in cases if not isinstance(c["malignant"], bool)] if need_malignancy else []
    if unlabeled:
        raise TrainingDataError(
            f"{root / 'kits.json'} does not say whether {', '.join(unlabeled[:5])} "
            f"({len(unlabeled)} of {len(cases)} cases) are malignant; each needs a record with 'malignant' true or "
            "false."
        )
