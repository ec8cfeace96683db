"""The support vector machine on slices that differ in texture."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from nephro_monai.errors import TrainingDataError
from nephro_monai.networks.kernel_svm import KernelSVM
from nephro_monai.stages import ClassifySlicesd
from nephro_monai.stages.feature_classifier import FeatureClassifier
from nephro_monai.structures import SliceVote
from nephro_monai.training.slice_svm import SVMSettings, slice_recalls, train_slice_svm


def _slices(patients: int = 8, per_patient: int = 4) -> list[dict]:
    """Discs on blank: malignant ones rough, benign ones smooth."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:40, :40]
    items = []
    for n in range(patients * per_patient):
        label = (n // per_patient) % 2
        radius = rng.uniform(8, 14)
        hu = rng.uniform(40, 100) + (25 if label else 5) * rng.standard_normal((40, 40))
        hu = np.where((x - 20) ** 2 + (y - 20) ** 2 < radius**2, hu, -1024)
        items.append({
            "image": torch.from_numpy(hu[None]).round().to(torch.int16), "label": label,
            "case": f"case_{n // per_patient}",
        })  # fmt: skip
    return items


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("svm")
    return out, train_slice_svm(_slices(), out, SVMSettings(folds=4))


def test_it_learns_and_reports(trained):
    out, report = trained
    assert report["slice_recall_malignant"] > 0.9 and report["slice_recall_benign"] > 0.9
    assert report["patient_recall_malignant"] == report["patient_recall_benign"] == 1.0
    assert report["patients"] == {"benign": 4, "malignant": 4} and report["slices"] == 32
    assert json.loads((out / "svm.json").read_text()) == report


def test_its_weights_classify_in_the_journey(trained):
    network = KernelSVM()
    network.load_state_dict(torch.load(trained[0] / "model.pt", weights_only=True))
    stage = ClassifySlicesd(FeatureClassifier(network), keys="tumor_slices")
    items = _slices(4, 2)
    case = {
        "tumor_slices": torch.stack([item["image"].float() for item in items]),
        "slice_votes": [SliceVote(1, z, z, 3.0 * z, 100.0) for z in range(len(items))],
    }
    votes = [vote.vote for vote in stage(case)["slice_votes"]]
    assert votes == [("benign", "malignant")[item["label"]] for item in items]


def test_recalls_by_hand():
    cases = np.array(["a", "a", "a", "b", "b", "c"])
    labels = np.array([1, 1, 1, 0, 0, 1])
    margins = np.array([1.0, 2.0, -1.0, -1.0, 1.0, -2.0])
    assert slice_recalls(cases, margins, labels) == {
        "slice_recall_benign": 0.5, "patient_recall_benign": 0.0,
        "slice_recall_malignant": 0.5, "patient_recall_malignant": 0.5,
    }  # fmt: skip


def test_two_patients_of_each_kind_are_needed(tmp_path):
    with pytest.raises(TrainingDataError, match="got 1 benign and 1 malignant"):
        train_slice_svm(_slices(2), tmp_path)
