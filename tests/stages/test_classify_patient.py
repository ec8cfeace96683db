"""Patient-level models over the slices of a case."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from nephro_monai.networks.fold_vote import FoldVote
from nephro_monai.networks.inception import InceptionClassifier
from nephro_monai.networks.patient_classifier import PatientClassifier, feature_sequence
from nephro_monai.stages.classify_patient import ClassifyPatientd


@pytest.fixture(scope="module")
def networks() -> tuple[FoldVote, FoldVote]:
    torch.manual_seed(0)
    image = FoldVote(partial(InceptionClassifier, width=1 / 16, features=6), folds=3).eval()
    patient = FoldVote(partial(PatientClassifier, features=6, hidden=4), folds=3, own_inputs=True).eval()
    return image, patient


def test_every_fold_votes(networks: tuple[FoldVote, FoldVote]) -> None:
    image, patient = networks
    case = {"colorized_slices": torch.rand(3, 3, 80, 80), "diagnosis": "untouched"}
    votes = ClassifyPatientd(image, patient, batch_size=2)(case)["model_votes"]
    assert [vote.model for vote in votes] == ["fold 1", "fold 2", "fold 3"]
    with torch.inference_mode():
        features = image.features(case["colorized_slices"])
        for k, vote in enumerate(votes):
            logits = patient.networks[k](feature_sequence(features[:, k])[None])
            expected = float(torch.softmax(logits, 1)[0, 1])
            assert vote.probability_malignant == pytest.approx(expected, abs=0.02)  # bfloat16 where it is fast
            assert vote.vote == ("malignant" if vote.probability_malignant >= 0.5 else "benign")
    assert "model_votes" not in case


def test_the_threshold_of_a_model_decides(networks: tuple[FoldVote, FoldVote]) -> None:
    image, patient = networks
    stage = ClassifyPatientd(image, patient)
    case = {"colorized_slices": torch.rand(2, 3, 80, 80)}
    patient.networks[1].threshold.set(0.001)
    patient.networks[2].threshold.set(0.999)
    assert [vote.vote for vote in stage(case)["model_votes"][1:]] == ["malignant", "benign"]


def test_no_slice_no_vote(networks: tuple[FoldVote, FoldVote]) -> None:
    assert ClassifyPatientd(*networks)({"colorized_slices": torch.zeros(0, 3, 80, 80)})["model_votes"] == []


def test_networks_must_fit(networks: tuple[FoldVote, FoldVote]) -> None:
    image, patient = networks
    with pytest.raises(ValueError, match="own_inputs"):
        ClassifyPatientd(image, image)
    with pytest.raises(ValueError, match="3 image-level models"):
        ClassifyPatientd(image, FoldVote(partial(PatientClassifier, features=6), folds=1, own_inputs=True))
    with pytest.raises(ValueError, match="one key"):
        ClassifyPatientd(image, patient, keys=("a", "b"))
