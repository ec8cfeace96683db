"""The papers' baselines as configurations of the cascade: the shipped weights, from scan to diagnosis."""

from __future__ import annotations

import pytest

from nephro_monai.engine import load_cascade
from nephro_monai.stages import ClassifySlicesd, ColorizeSlicesd, GrayColorizer
from nephro_monai.stages.feature_classifier import FeatureClassifier
from nephro_monai.systems import BASELINES, find_configurations

OUTLINE_ONLY = ("unet", "pspnet")


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_runs_from_scan_to_diagnosis(name, phantom_cohort):
    journey = load_cascade(device="cpu", configs=find_configurations(name))
    done = journey({"image": str(phantom_cohort / "case_00000" / "imaging.nii.gz"), "case": "case_00000"})
    assert done["segmentation"].shape == done["image"].shape
    if not done["tumors"]:
        assert done["diagnosis"].reason.startswith("No tumor")
    elif name in OUTLINE_ONLY:
        assert done["diagnosis"].reason.startswith("Not classified") and not done["slice_votes"]
    else:
        assert {vote.tumor for vote in done["slice_votes"]} <= {tumor.index for tumor in done["tumors"]}
        assert all(vote.probabilities is not None for vote in done["slice_votes"])


def test_the_exchanged_part_is_the_only_one():
    scnet = load_cascade(device="cpu", configs=("scnet.json",)).transforms
    resnet = load_cascade(device="cpu", configs=find_configurations("resnet50")).transforms
    assert [type(step) for step in resnet] == [type(step) for step in scnet]
    assert scnet[2].classifier is None and resnet[2].classifier is not None
    assert resnet[2].network.provenance == scnet[2].network.provenance
    svm = load_cascade(device="cpu", configs=find_configurations("svm")).transforms
    (classify,) = (step for step in svm if isinstance(step, ClassifySlicesd))
    assert isinstance(classify.network, FeatureClassifier)
    gray = load_cascade(device="cpu", configs=find_configurations("gray_copy")).transforms
    (colorize,) = (step for step in gray if isinstance(step, ColorizeSlicesd))
    assert isinstance(colorize.colorizer.network, GrayColorizer)
