"""Clinical records in KiTS19's format, filled from what the phantom knows and null elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nephro_monai.constants import TUMOR
from nephro_monai.phantom.canvas import Grid
from nephro_monai.phantom.config import PhantomConfig, Special
from nephro_monai.phantom.plan import Plan
from nephro_monai.phantom.tumors import TumorLook

__all__ = ["Findings", "case_record", "kits_affine", "latent_values"]

_UNKNOWN = (
    "age_at_nephrectomy", "gender", "body_mass_index", "comorbidities", "smoking_history", "age_when_quit_smoking",
    "pack_years", "chewing_tobacco_use", "alcohol_use", "intraoperative_complications", "hospitalization",
    "ischemia_time", "pathologic_size", "pathology_t_stage", "pathology_n_stage", "pathology_m_stage",
    "tumor_isup_grade", "clavien_surgical_complications", "er_visit", "readmission", "estimated_blood_loss",
    "surgery_type", "surgical_procedure", "surgical_approach", "operative_time", "cytoreductive",
    "positive_resection_margins", "last_preop_egfr", "first_postop_egfr", "last_postop_egfr", "vital_status",
    "vital_days_after_surgery",
)  # fmt: skip
"""KiTS19's fields a phantom cannot know."""


@dataclass(frozen=True)
class Findings:
    """What a finished case shows.

    Attributes:
        grid: The scan's grid.
        label: KiTS19 label map.
        looks: Appearance of every tumor.
        diameters_mm: Size of every tumor, as its look was drawn for.
        kidney_hu: Mean HU of the parenchyma, before texture, blur and noise.
        cysts: Simple cysts painted.
        special: The unusual finding built in.
    """

    grid: Grid
    label: NDArray[np.uint8]
    looks: tuple[TumorLook, ...]
    diameters_mm: tuple[float, ...]
    kidney_hu: float
    cysts: int
    special: Special


def kits_affine(grid: Grid) -> NDArray[np.float64]:
    """KiTS19's affine: slices to inferior, rows to posterior, columns to the left."""
    thickness, row, column = grid.spacing
    return np.array([[0, 0, -column, 0], [0, -row, 0, 0], [-thickness, 0, 0, 0], [0, 0, 0, 1]], dtype=np.float64)


def _largest_diameter_cm(label: NDArray[np.uint8], grid: Grid) -> float | None:
    """Largest extent of the largest tumor in any of 64 directions in space, in cm."""
    components, count = ndimage.label(label == TUMOR)
    if not count:
        return None
    largest = int(np.bincount(components.ravel())[1:].argmax()) + 1
    box = ndimage.find_objects(components)[largest - 1]
    points = np.argwhere(components[box] == largest)
    points = points[:: max(1, len(points) // 20000)] * np.array(grid.spacing)
    k = np.arange(64) + 0.5
    polar, around = np.arccos(1 - k / 64), np.pi * (1 + 5**0.5) * k
    directions = np.stack([np.cos(polar), np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around)])
    extent = points @ directions
    return round(float((extent.max(0) - extent.min(0)).max()) / 10, 2)


def latent_values(look: TumorLook, diameter_mm: float) -> dict[str, Any]:
    """A look's numbers and the diameter it was drawn for, ready for JSON; the subtype stands in the record itself."""
    values = {name: value for name, value in vars(look).items() if name != "subtype"}
    values["diameter_mm"] = diameter_mm
    return {name: value if isinstance(value, bool) else round(float(value), 4) for name, value in values.items()}


def case_record(
    case_id: str, seed: Sequence[int], config: PhantomConfig, plan: Plan, findings: Findings
) -> dict[str, Any]:
    """KiTS19's record of a case plus "synthetic" and "phantom"; unknown fields are None."""
    grid, looks = findings.grid, findings.looks
    record: dict[str, Any] = {"case_id": case_id}
    record.update(dict.fromkeys(_UNKNOWN))
    record["radiographic_size"] = _largest_diameter_cm(findings.label, grid)
    record["malignant"] = None if plan.kind == "none" else plan.kind == "malignant"
    record["tumor_histologic_subtype"] = plan.subtype
    record["tumor_necrosis"] = any(look.necrosis > 0 for look in looks) if looks else None
    record["voxel_spacing"] = {
        "x_spacing": grid.spacing[2],
        "y_spacing": grid.spacing[1],
        "z_spacing": grid.spacing[0],
    }
    record["synthetic"] = True
    record["phantom"] = {
        "seed": list(seed),
        "kind": plan.kind,
        "phase": plan.phase,
        "subtype": plan.subtype,
        "special": findings.special,
        "features": sorted({name for look in looks for name in look.features}),
        "tumors": len(looks),
        "kidney_hu": round(float(findings.kidney_hu), 4),
        "looks": [latent_values(*pair) for pair in zip(looks, findings.diameters_mm, strict=True)],
        "cysts": findings.cysts,
        "source_label_case": config.label_map.parent.name if config.label_map is not None else None,
    }
    if config.parameters.overrides:
        record["phantom"]["parameters"] = config.parameters.overrides
    if config.second_phase is not None:
        record["phantom"]["second_phase"] = config.second_phase
    return record
