"""`diagnosis.json`: the verdict and everything it rests on."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from nephro_monai.constants import CLASS_NAMES, DISCLAIMER, SLICE_CLASS_NAMES
from nephro_monai.io.atomic import atomic_path
from nephro_monai.io.training_notice import training_notice
from nephro_monai.structures import Box, Diagnosis, Kidney, ModelVote, Scan, SliceVote, Tumor, TumorVote

__all__ = ["SCHEMA_VERSION", "SaveDiagnosisd", "diagnosis_content"]

SCHEMA_VERSION = "1.0"
"""Of `diagnosis.json`; the first number grows when a reader of the old file would break."""


class SaveDiagnosisd(MapTransform):
    """Writes `<output_dir>/<case>/diagnosis.json`; put it last, since the file marks a case as done.

    Reads `diagnosis`, `scan`, `case`, `image` (its affine), `kidney_findings` and `tumors`, `localization` and
    `kidneys` where a localizer ran, and `warnings` where the scan was checked; changes nothing.
    """

    def __init__(
        self,
        output_dir: str | Path,
        provenance: Mapping[str, Any] | None = None,
        keys: KeysCollection = "diagnosis",
        file_name: str = "diagnosis.json",
    ) -> None:
        """Sets where to write and what to write of the networks.

        Args:
            output_dir: The run's folder; each case gets a folder in it.
            provenance: By stage, a mapping with the bundle's name, version, weights' checksum and `trained_on`.
            keys: Where the `structures.Diagnosis` is (one key).
            file_name: Name of the file.

        Raises:
            ValueError: If more than one key is given.
        """
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"SaveDiagnosisd writes one diagnosis per case, got the keys {self.keys}.")
        self.output_dir = Path(output_dir)
        self.provenance = dict(provenance or {})
        self.file_name = file_name

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Writes the file and returns the case as it came.

        Raises:
            OutputError: If the file cannot be written.
        """
        case = dict(data)
        content = diagnosis_content({**case, "diagnosis": case[self.keys[0]]}, self.provenance)
        with (
            atomic_path(self.output_dir / case["case"] / self.file_name) as temporary,
            temporary.open("w", encoding="utf-8", newline="\n") as file,
        ):
            json.dump(content, file, indent=2, allow_nan=False, ensure_ascii=False)
            file.write("\n")
        return case


def diagnosis_content(case: Mapping[Hashable, Any], provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What `diagnosis.json` holds: plain values, the same order every time, null where there is nothing.

    Args:
        case: The case dictionary after `VoteMalignancyd`.
        provenance: Of the networks.
    """
    diagnosis: Diagnosis = case["diagnosis"]
    affine = np.asarray(case["image"].affine, dtype=np.float64)
    verdicts = {vote.tumor: vote for vote in diagnosis.tumors}
    return _plain({
        "schema_version": SCHEMA_VERSION,
        "disclaimer": DISCLAIMER,
        "training_notice": training_notice(provenance),
        **({"warnings": case["warnings"]} if "warnings" in case else {}),
        "case": case["case"],
        "verdict": diagnosis.verdict,
        "reason": diagnosis.reason,
        "mean_probability_malignant": _rounded(diagnosis.mean_probability_malignant, 4),
        "votes": diagnosis.votes,
        "agreement": _rounded(diagnosis.agreement, 4),
        "kidneys": [_kidney(kidney, affine) for kidney in case.get("kidney_findings", ())],
        "tumors": [_tumor(tumor, verdicts.get(tumor.index), affine) for tumor in case.get("tumors", ())],
        "slices": [_slice(vote) for vote in diagnosis.slices],
        **({"models": [_model(vote) for vote in diagnosis.models]} if diagnosis.models else {}),
        **_calibrated(diagnosis),
        "localization": _localization(case, affine),
        "scan": _scan(case["scan"]),
        "provenance": provenance,
    })  # fmt: skip


def _kidney(kidney: Kidney, affine: np.ndarray) -> dict[str, Any]:
    return {
        "side": kidney.side,
        "volume_ml": _rounded(kidney.volume_ml, 2),
        "center_mm": _point(kidney.center_mm),
        **_boxes(kidney.box, affine),
    }


def _tumor(tumor: Tumor, vote: TumorVote | None, affine: np.ndarray) -> dict[str, Any]:
    return {
        "index": tumor.index,
        "side": tumor.side,
        "volume_ml": _rounded(tumor.volume_ml, 2),
        "center_mm": _point(tumor.center_mm),
        "largest_diameter_mm": _rounded(tumor.largest_diameter_mm, 1),
        **_boxes(tumor.box, affine),
        "verdict": vote.verdict if vote else "undetermined",
        "reason": vote.reason if vote else "Not classified.",
        "mean_probability_malignant": _rounded(vote.mean_probability_malignant, 4) if vote else None,
        "votes": vote.votes if vote else {},
        "agreement": _rounded(vote.agreement, 4) if vote else None,
        "has_say": vote.has_say if vote else False,
        **(
            {"probability_malignant": _rounded(vote.probability_malignant, 4)}
            if vote and vote.probability_malignant is not None
            else {}
        ),
    }


def _slice(vote: SliceVote) -> dict[str, Any]:
    values = None
    if vote.probabilities is not None:
        known = {len(classes): classes for classes in (CLASS_NAMES, SLICE_CLASS_NAMES)}
        names = known.get(len(vote.probabilities), tuple(map(str, range(len(vote.probabilities)))))
        values = {name: _rounded(value, 4) for name, value in zip(names, vote.probabilities, strict=True)}
    return {
        "tumor": vote.tumor,
        "native_slice_index": vote.native_slice_index,
        "ras_slice_index": vote.slice_index,
        "position_mm": _rounded(vote.position_mm, 2),
        "area_mm2": _rounded(vote.area_mm2, 1),
        "probabilities": values,
        "vote": vote.vote,
    }


def _model(vote: ModelVote) -> dict[str, Any]:
    return {
        "model": vote.model,
        "probability_malignant": _rounded(vote.probability_malignant, 4),
        "vote": vote.vote,
    }


def _calibrated(diagnosis: Diagnosis) -> dict[str, Any]:
    """The calibrated probability and what it was calibrated with; nothing where the majority decided."""
    if diagnosis.calibration is None:
        return {}
    limits = {name: _rounded(value, 6) for name, value in asdict(diagnosis.calibration).items()}
    return {"probability_malignant": _rounded(diagnosis.probability_malignant, 4), "calibration": limits}


def _localization(case: Mapping[Hashable, Any], affine: np.ndarray) -> dict[str, Any] | None:
    if "localization" not in case:
        return None
    boxes = [_boxes(box, affine) for box in case.get("kidneys", ())]
    return {**case["localization"], "boxes": boxes}


def _scan(scan: Scan) -> dict[str, Any]:
    return {
        "path": scan.path,
        "format": scan.format,
        "shape": scan.native_shape,
        "axes": scan.native_axcodes,
        "affine": [[_rounded(value, 6) for value in row] for row in scan.native_affine],
        "notes": scan.notes,
    }


def _boxes(box: Box, affine: np.ndarray) -> dict[str, Any]:
    """A box in voxels of the R-A-S volume (half-open) and the world range (RAS, mm) its voxels cover."""
    low = np.array([box.xmin, box.ymin, box.zmin]) - 0.5
    high = np.array([box.xmax, box.ymax, box.zmax]) - 0.5
    grid = np.stack(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), axis=-1).reshape(-1, 3)
    corners = grid @ affine[:3, :3].T + affine[:3, 3]
    return {
        "box_voxels_ras": [box.xmin, box.ymin, box.zmin, box.xmax, box.ymax, box.zmax],
        "box_mm": [_rounded(value, 2) for value in (*corners.min(axis=0), *corners.max(axis=0))],
    }


def _point(values: Sequence[float]) -> list[float | None]:
    return [_rounded(value, 2) for value in values]


def _rounded(value: float | None, digits: int) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), digits) + 0.0  # no minus zero


def _plain(value: Any) -> Any:
    """Only what JSON knows; NaN and infinity become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray | torch.Tensor):
        return _plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
