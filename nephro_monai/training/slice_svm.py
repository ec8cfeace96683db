"""Trains a support vector machine on features of tumor slices: a baseline of Pan 2019 (section III-B)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from nephro_monai.constants import CLASS_NAMES
from nephro_monai.errors import TrainingDataError
from nephro_monai.geometry.slice_features import FEATURE_NAMES, slice_features
from nephro_monai.io.atomic import atomic_path
from nephro_monai.networks.kernel_svm import KernelSVM

__all__ = ["SVMSettings", "as_kernel_svm", "slice_recalls", "train_slice_svm"]

_BLANK_HU = -1023.5


@dataclass(frozen=True)
class SVMSettings:
    """How the machine is trained.

    Attributes:
        costs: Values of C to choose from.
        gammas: Kernel widths to choose from, for standardized features.
        folds: Of the cross-validation by patient, 10 in the paper.
        pixel_mm: Pixel size of the slices.
        seed: Of the folds.
    """

    costs: tuple[float, ...] = (1.0, 10.0)
    gammas: tuple[float, ...] = (0.01, 0.03)
    folds: int = 10
    pixel_mm: float = 1.0
    seed: int = 0


def train_slice_svm(
    slices: Sequence[dict[str, Any]], output_dir: str | Path, settings: SVMSettings | None = None
) -> dict[str, Any]:
    """Cross-validates by patient, then trains on all slices and writes `model.pt` and `svm.json`.

    Args:
        slices: From `data.cut_tumor_slices` with region "roi": `image`, `label` (0 benign, 1 malignant) and `case`.
        output_dir: Where the weights (a `KernelSVM`'s `state_dict`) and the figures go.
        settings: See `SVMSettings`.

    Returns:
        The figures that `svm.json` holds: recalls of slices and of patients (majority of their slices) in the
        cross-validation, the chosen C and gamma, numbers of slices, patients and support vectors, feature names.

    Raises:
        TrainingDataError: If there are fewer patients of a kind than two.
    """
    settings = settings or SVMSettings()
    images = [np.asarray(item["image"][0], dtype=np.float32) for item in slices]
    features = np.array([slice_features(one, one > _BLANK_HU, settings.pixel_mm) for one in images])
    labels = np.array([item["label"] for item in slices], dtype=int)
    cases = np.array([item["case"] for item in slices])
    patients = [len(set(cases[labels == kind])) for kind in range(len(CLASS_NAMES))]
    if min(patients) < 2:
        raise TrainingDataError(
            f"The support vector machine needs two patients of each kind, got {patients[0]} benign and {patients[1]} "
            "malignant; add cases."
        )
    folds = StratifiedGroupKFold(min(settings.folds, *patients), shuffle=True, random_state=settings.seed)
    margins = np.zeros(len(labels))
    for training, testing in folds.split(features, labels, cases):
        fitted = _fitted(features[training], labels[training], cases[training], settings)
        margins[testing] = fitted.decision_function(features[testing])
    machine = _fitted(features, labels, cases, settings)
    network = as_kernel_svm(machine, _slope(margins, labels))
    report = {
        **slice_recalls(cases, margins, labels),
        "C": machine[-1].C, "gamma": machine[-1].gamma, "slices": len(labels),
        "patients": dict(zip(CLASS_NAMES, patients, strict=True)),
        "support_vectors": len(network.supports), "features": list(FEATURE_NAMES),
    }  # fmt: skip
    _write(Path(output_dir), network, report)
    return report


def as_kernel_svm(machine: Pipeline, slope: float = 1.0) -> KernelSVM:
    """A fitted pipeline of `StandardScaler` and two-class `SVC` with radial basis functions as a torch module."""
    scaler, svc = machine[0], machine[-1]
    network = KernelSVM(*reversed(svc.support_vectors_.shape))
    values = {
        "mean": scaler.mean_, "scale": scaler.scale_, "supports": svc.support_vectors_,
        "coefficients": svc.dual_coef_[0], "intercept": svc.intercept_[0], "gamma": svc._gamma, "slope": slope,
    }  # fmt: skip
    network.load_state_dict({name: torch.as_tensor(value, dtype=torch.float32) for name, value in values.items()})
    return network


def slice_recalls(cases: np.ndarray, margins: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Recall of malignant and benign slices, and of patients by the majority of their slices (a tie is wrong).

    Args:
        cases: Patient of each slice.
        margins: Above 0 for malignant.
        labels: 0 benign, 1 malignant.
    """
    judged = (margins > 0).astype(int)
    found = {}
    for kind, name in enumerate(CLASS_NAMES):
        own = labels == kind
        found[f"slice_recall_{name}"] = float((judged[own] == kind).mean())
        right = [(judged[own & (cases == case)] == kind).mean() > 0.5 for case in np.unique(cases[own])]
        found[f"patient_recall_{name}"] = float(np.mean(right))
    return found


def _fitted(features: np.ndarray, labels: np.ndarray, cases: np.ndarray, settings: SVMSettings) -> Pipeline:
    """The pipeline with the best C and gamma of an inner cross-validation by patient."""
    pipeline = make_pipeline(StandardScaler(), SVC(kernel="rbf", class_weight="balanced"))
    grid = {"svc__C": list(settings.costs), "svc__gamma": list(settings.gammas)}
    patients = min(len(set(cases[labels == kind])) for kind in range(len(CLASS_NAMES)))
    if patients < 2 or len(settings.costs) * len(settings.gammas) == 1:
        return pipeline.set_params(svc__C=settings.costs[0], svc__gamma=settings.gammas[0]).fit(features, labels)
    inner = StratifiedGroupKFold(min(3, patients), shuffle=True, random_state=settings.seed)
    search = GridSearchCV(pipeline, grid, scoring="balanced_accuracy", cv=inner)
    return search.fit(features, labels, groups=cases).best_estimator_


def _slope(margins: np.ndarray, labels: np.ndarray) -> float:
    """How fast the probability rises with the margin (Platt's sigmoid through 0), from held-out slices."""
    fitted = LogisticRegression(fit_intercept=False, class_weight="balanced").fit(margins[:, None], labels)
    return max(float(fitted.coef_[0, 0]), 1e-3)


def _write(folder: Path, network: KernelSVM, report: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "model.pt") as temporary:
        torch.save(network.state_dict(), temporary)
    with atomic_path(folder / "svm.json") as temporary:
        temporary.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(", ".join(f"{name} {value:.3f}" for name, value in report.items() if isinstance(value, float)))
