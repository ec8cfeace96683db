"""A finished case dictionary made of ellipsoids, with known positions, volumes and votes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from nephro_monai.structures import Box, Diagnosis, Kidney, Scan, SliceVote, Tumor, TumorVote

SPACING_MM = (4.0, 4.0, 5.0)


@dataclass(frozen=True)
class CaseOptions:
    """What the made case holds."""

    shape: tuple[int, int, int] = (96, 80, 40)
    spacing_mm: tuple[float, float, float] = SPACING_MM
    sides: tuple[str, ...] = ("right", "left")
    tumor: bool = True
    verdict: str = "malignant"


def _ellipsoid(shape: tuple[int, int, int], center: tuple[float, ...], radii: tuple[float, ...]) -> np.ndarray:
    axes = [(((np.arange(n) + 0.5) / n - c) / r) ** 2 for n, c, r in zip(shape, center, radii, strict=True)]
    return axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :] < 1


def _box(mask: np.ndarray) -> Box:
    low = [int(i.min()) for i in np.nonzero(mask)]
    high = [int(i.max()) + 1 for i in np.nonzero(mask)]
    return Box(*low, *high)


def _volumes(options: CaseOptions) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """HU, labels and kidney masks. In R-A-S arrays the patient's right side has the higher x."""
    shape, rng = options.shape, np.random.default_rng(0)
    hu = np.full(shape, -1000, np.float32)
    hu[_ellipsoid(shape, (0.5, 0.5, 0.5), (0.45, 0.4, 9))] = -100
    hu[_ellipsoid(shape, (0.5, 0.5, 0.5), (0.41, 0.35, 9))] = 50
    hu[_ellipsoid(shape, (0.5, 0.25, 0.5), (0.07, 0.09, 9))] = 500
    hu += rng.normal(0, 15, shape).astype(np.float32)
    labels = np.zeros(shape, np.uint8)
    kidneys = {}
    for side, x in (("right", 0.72), ("left", 0.28)):
        if side in options.sides:
            kidneys[side] = _ellipsoid(shape, (x, 0.42, 0.5), (0.08, 0.1, 0.3))
            hu[kidneys[side]] += 120
            labels[kidneys[side]] = 1
    if options.tumor:
        mask = _ellipsoid(shape, (0.8, 0.5, 0.55), (0.06, 0.08, 0.12))
        hu[mask] += 50
        labels[mask] = 2
    return hu, labels, kidneys


def _findings(
    options: CaseOptions, labels: np.ndarray, kidneys: Mapping[str, np.ndarray], affine: np.ndarray
) -> dict[str, Any]:
    milliliters = float(np.prod(options.spacing_mm)) / 1000

    def center(mask: np.ndarray) -> tuple[float, float, float]:
        x, y, z = (affine @ [*(float(i.mean()) for i in np.nonzero(mask)), 1.0])[:3]
        return x, y, z

    found = [
        Kidney(side, _box(mask), float((labels[mask] == 1).sum()) * milliliters, center(mask))  # type: ignore[arg-type]
        for side, mask in kidneys.items()
    ]
    tumor = labels == 2
    tumors = []
    if options.tumor:
        tumors = [Tumor(1, "right", _box(tumor), float(tumor.sum()) * milliliters, center(tumor), 52.0)]
    return {"kidney_findings": found, "tumors": tumors, "kidneys": [f.box for f in found]}


def _votes(options: CaseOptions, labels: np.ndarray, affine: np.ndarray) -> list[SliceVote]:
    depth = options.shape[2]
    votes = []
    for i, z in enumerate(np.flatnonzero((labels == 2).any(axis=(0, 1))).tolist()):
        malignant = 0.3 if i == 0 else 0.7 + 0.02 * i
        area = float((labels[..., z] == 2).sum()) * options.spacing_mm[0] * options.spacing_mm[1]
        votes.append(
            SliceVote(
                1, z, depth - 1 - z, float(affine[2, 3] + affine[2, 2] * z), area,
                (1 - malignant, malignant), "malignant" if malignant > 0.5 else "benign",
            )
        )  # fmt: skip
    return votes


def _diagnosis(options: CaseOptions, votes: list[SliceVote]) -> Diagnosis:
    if not votes:
        return Diagnosis("undetermined", "No tumor was found in the segmentation, so there is nothing to classify.")
    counts = {name: sum(v.vote == name for v in votes) for name in ("benign", "malignant")}
    mean = float(np.mean([v.probabilities[1] for v in votes if v.probabilities]))
    reason = f"{counts['malignant']} of {len(votes)} slices of tumor 1 vote malignant."
    verdict: Any = options.verdict
    agreement = None if verdict == "undetermined" else counts[verdict] / len(votes)
    tumor = TumorVote(1, verdict, reason, mean, counts, agreement)
    return Diagnosis(verdict, reason, mean, counts, agreement, (tumor,), tuple(votes))


def build_case(**settings: Any) -> dict[str, Any]:
    """A case after the vote; `settings` are the fields of `CaseOptions`."""
    options = CaseOptions(**settings)
    hu, labels, kidneys = _volumes(options)
    affine = np.diag([*options.spacing_mm, 1.0])
    affine[:3, 3] = (-190.0, -160.0, -1000.0)
    votes = _votes(options, labels, affine)
    crops = torch.linspace(-150, 300, 130).expand(len(votes), 1, 130, 130).clone()
    colors = torch.stack([torch.linspace(0, 1, 256).expand(256, 256).roll(50 * c, 1) for c in range(3)])
    return {
        "case": "case_00007",
        "image": MetaTensor(torch.from_numpy(hu)[None], affine=torch.from_numpy(affine)),
        "segmentation": MetaTensor(torch.from_numpy(labels)[None], affine=torch.from_numpy(affine)),
        "scan": Scan(
            "/data/patient <7>/imaging.nii.gz", "nifti", options.shape[::-1], tuple(map(tuple, affine.tolist())), "IPL",
            ("The header's sform was used.",), 1, 0,
        ),
        "localization": {"found": True, "fallback": False, "note": "", "detections": 61},
        **_findings(options, labels, kidneys, affine),
        "tumor_slices": crops,
        "colorized_slices": colors.expand(len(votes), 3, 256, 256).clone(),
        "slice_votes": votes,
        "diagnosis": _diagnosis(options, votes),
        "seconds": {"read": 0.71, "localize": 4.25, "segment": 6.5, "colorize": 1.2, "classify": 0.9},
    }  # fmt: skip


@pytest.fixture(scope="session")
def make_case() -> Callable[..., dict[str, Any]]:
    """The function that makes a case."""
    return build_case


@pytest.fixture(scope="session")
def provenance() -> dict[str, dict[str, Any]]:
    """Two stages' networks, as the engine describes them."""
    shared = {"version": "0.1.0", "weights": "models/model.pt", "shipped": True, "trained_on": "synthetic CT only"}
    return {
        "localize": {"bundle": "kidney_ct_detection_faster_rcnn", "sha256": "ab" * 32, **shared},
        "classify": {"bundle": "renal_tumor_ct_classification_densenet", "sha256": "cd" * 32, **shared},
    }
