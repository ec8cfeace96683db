"""Kidney slices with outlines and classes, one phase and two."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from nephro_monai.data import KidneySliceSettings, class_fold, cut_kidney_slices, list_training_cases
from nephro_monai.data.kidney_slices import _chosen
from nephro_monai.errors import ScanError, TrainingDataError
from nephro_monai.geometry import StackGrid
from nephro_monai.phantom import CohortConfig, PhantomConfig, generate_cohort

SMALL = KidneySliceSettings(grid=StackGrid(2.5, 6.0, 60), room=16, slices_per_kidney=6, negative_share=0.0)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """A malignant and a benign case with two phases."""
    folder = tmp_path_factory.mktemp("pairs")
    case = PhantomConfig(shape=(24, 80, 80), phase="arterial", second_phase="excretory", special="ordinary")
    generate_cohort(folder, CohortConfig(cases=2, seed=3, case=case, kinds=("malignant", "benign")))
    return list_training_cases(folder)


@pytest.fixture(scope="module")
def slices(pairs):
    return cut_kidney_slices(pairs, SMALL, progress=False)


def test_slices_hold_hu_outlines_and_classes(slices):
    assert {item["case"] for item in slices} == {"case_00000", "case_00001"}
    for item in slices:
        assert item["image"].shape == (1, 76, 76) and item["image"].dtype == torch.int16
        assert item["label"].shape == (1, 76, 76) and item["label"].dtype == torch.uint8
        assert set(item["label"].unique().tolist()) <= {0, 1, 2}
        tumor = float((item["label"][:, 8:68, 8:68] == 2).sum()) * 2.5**2
        assert item["slice_class"] == (2 if tumor < 50 else int(item["malignant"]))
    assert {item["slice_class"] for item in slices} == {0, 1, 2}
    kidney = torch.cat([item["image"][item["label"] == 1] for item in slices]).float()
    assert 60 < kidney.median() < 260, "enhanced kidney lies where the outlines say"


def test_the_kidney_lies_in_the_middle(slices):
    inside = torch.stack([(item["label"] > 0).float() for item in slices]).mean((0, 1))
    assert inside[28:48, 28:48].mean() > 3 * inside[:10].mean()


def test_two_phases_are_stacked_as_channels(pairs, slices):
    two = cut_kidney_slices(pairs, KidneySliceSettings(**{**vars(SMALL), "phases": 2}), progress=False)
    assert all(item["image"].shape == (2, 76, 76) for item in two)
    assert all(torch.equal(a["image"][:1], b["image"]) for a, b in zip(two, slices, strict=True))
    assert any((item["image"][1] - item["image"][0]).float().abs().mean() > 10 for item in two)


def test_a_missing_phase_is_an_error_or_repeated(phantom_cohort):
    cases = list_training_cases(phantom_cohort)[:1]
    with pytest.raises(ScanError, match="excretory phase is missing"):
        cut_kidney_slices(cases, KidneySliceSettings(**{**vars(SMALL), "phases": 2}), progress=False)
    settings = KidneySliceSettings(**{**vars(SMALL), "phases": 2, "missing_phase": "repeat"})
    for item in cut_kidney_slices(cases, settings, progress=False):
        assert torch.equal(item["image"][0], item["image"][1])


def test_boxes_without_a_kidney_are_normal(phantom_cohort):
    cases = list_training_cases(phantom_cohort)[:1]
    some = cut_kidney_slices(cases, KidneySliceSettings(**{**vars(SMALL), "negative_share": 1.0}), progress=False)
    empty = [item for item in some if not (item["label"] > 0).any()]
    assert empty and all(item["slice_class"] == 2 for item in empty)


@pytest.mark.parametrize(
    ("tumor", "wanted", "expected"),
    [
        ([0, 0, 1, 1, 1, 1, 0, 0], 4, [2, 4, 1, 6]),
        ([0, 0, 0, 0], 2, [1, 3]),
        ([1, 1, 1, 1], 2, [1, 3]),
        ([0, 1, 0, 0, 0, 0], 4, [1, 2, 4, 5]),
        ([0, 1], 9, [0, 1]),
    ],
)
def test_half_of_the_slices_have_tumor_where_there_are_so_many(tumor, wanted, expected):
    chosen = _chosen(np.array(tumor, bool), wanted)
    assert len(chosen) == min(wanted, len(tumor)) == len(set(chosen))
    assert sum(tumor[k] for k in chosen) == sum(tumor[k] for k in expected)


def test_sixteenfold_and_balanced():
    slices = [{"slice_class": c, "n": n} for n, c in enumerate([0] * 5 + [1] * 20 + [2] * 35)]
    folded = class_fold(slices)
    assert len(folded) == pytest.approx(16 * 60, rel=0.01)
    assert [Counter(item["slice_class"] for item in folded)[c] for c in range(3)] == [320] * 3
    copies = Counter(item["n"] for item in folded)
    assert {copies[n] for n in range(5)} == {64} and {copies[n] for n in range(5, 25)} == {16}
    assert {copies[n] for n in range(25, 60)} == {9, 10}


def test_a_frequent_class_is_never_thinned_out():
    slices = [{"slice_class": 0}] + [{"slice_class": 2}] * 30
    assert Counter(item["slice_class"] for item in class_fold(slices, 1.0)) == {0: 16, 2: 30}
    with pytest.raises(ValueError, match="at least 1"):
        class_fold(slices, 0.5)
    with pytest.raises(TrainingDataError, match="no slice"):
        class_fold([])


def test_settings_are_checked():
    with pytest.raises(ValueError, match="1 or 2 contrast phases"):
        KidneySliceSettings(phases=3)
    with pytest.raises(ValueError, match="slices at least 1"):
        KidneySliceSettings(slices_per_kidney=0)
