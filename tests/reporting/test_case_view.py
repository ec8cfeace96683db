"""The case as figures read it: positions, directions, checks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nephro_monai.reporting import CaseView


def test_positions_and_spacing(make_case):
    view = CaseView.from_case(make_case())
    assert view.shape == (96, 80, 40)
    assert view.spacing_mm == (4.0, 4.0, 5.0)
    assert view.position_mm(10) == pytest.approx(-1000 + 10 * 5)
    assert view.native_index(10) == 29  # the file's slices run to inferior


def test_native_index_of_a_file_whose_slices_run_to_superior(make_case):
    case = make_case()
    case["scan"] = replace(case["scan"], native_axcodes="LPS")
    assert CaseView.from_case(case).native_index(10) == 10


def test_slices_show_right_on_the_left_and_anterior_on_top(make_case):
    case = make_case()
    marker = torch.zeros(1, 96, 80, 40)
    marker[0, 90, 75, 30] = 1.0  # right, anterior, superior
    case["image"] = case["image"].clone()
    case["image"][:] = marker
    view = CaseView.from_case(case)
    assert np.argwhere(view.axial(30)[0]).tolist() == [[79 - 75, 95 - 90]]
    assert np.argwhere(view.coronal(75)[0]).tolist() == [[39 - 30, 95 - 90]]


def test_marked_slices(make_case):
    view = CaseView.from_case(make_case())
    labels = view.labels[0].numpy()
    marked, tumor = view.marked_slices()
    assert marked == np.flatnonzero((labels > 0).any((0, 1))).tolist()
    assert tumor == np.flatnonzero((labels == 2).any((0, 1))).tolist()
    assert CaseView.from_case(make_case(sides=(), tumor=False)).marked_slices() == ([], [])


def test_a_case_without_localizer_and_classifier_is_enough(make_case):
    case = {key: make_case()[key] for key in ("image", "segmentation", "scan", "diagnosis")}
    view = CaseView.from_case(case)
    assert (view.votes, view.boxes, len(view.colors)) == ((), (), 0)


@pytest.mark.parametrize("key", ["image", "segmentation", "scan", "diagnosis"])
def test_missing_keys_are_named(make_case, key):
    case = make_case()
    del case[key]
    with pytest.raises(ValueError, match=f"lacks {key}"):
        CaseView.from_case(case)


def test_arrays_must_belong_together(make_case):
    case = make_case()
    with pytest.raises(ValueError, match="segmentation must both"):
        CaseView.from_case({**case, "segmentation": case["segmentation"][..., 1:]})
    with pytest.raises(ValueError, match="one per vote"):
        CaseView.from_case({**case, "colorized_slices": case["colorized_slices"][1:]})
