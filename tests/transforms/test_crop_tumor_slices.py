"""Crops of a case and the votes that wait for them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nephro_monai.geometry import tumor_slice_crops
from nephro_monai.transforms import CropTumorSlicesd, MeasureKidneysd


@pytest.fixture
def case(measured_case):
    return MeasureKidneysd()(measured_case)


def test_crops_and_votes_belong_together(case):
    cut = CropTumorSlicesd()(case)
    crops, votes = cut["tumor_slices"], cut["slice_votes"]
    assert crops.dtype == torch.float32
    assert tuple(crops.shape) == (len(votes), 1, 130, 130)
    assert {vote.tumor for vote in votes} == {1, 2}
    assert all(vote.probabilities is None and vote.vote is None for vote in votes)
    affine, depth = case["image"].affine.numpy(), case["image"].shape[3]
    for crop, vote in zip(crops, votes, strict=True):
        assert float(crop[0, 64, 64]) == pytest.approx(80, abs=1)  # the tumor
        assert vote.position_mm == pytest.approx(float((affine @ (0, 0, vote.slice_index, 1))[2]))
        assert vote.native_slice_index == depth - 1 - vote.slice_index  # the file runs to inferior
    ahead = CropTumorSlicesd()({**case, "scan": _superior(case["scan"])})["slice_votes"]
    assert [vote.native_slice_index for vote in ahead] == [vote.slice_index for vote in votes]


def _superior(scan):
    from dataclasses import replace

    return replace(scan, native_affine=((2.0, 0, 0, 0), (0, 2.0, 0, 0), (0, 0, 3.0, 0), (0, 0, 0, 1)))


def test_training_cuts_the_same_crops(case):
    cut = CropTumorSlicesd()(case)
    crops, slices = tumor_slice_crops(
        case["image"].as_tensor(), case["segmentation"].as_tensor(), case["image"].affine.numpy()
    )
    assert torch.equal(crops, cut["tumor_slices"])
    assert [(item.tumor, item.z) for item in slices] == [(vote.tumor, vote.slice_index) for vote in cut["slice_votes"]]


@pytest.mark.parametrize("region", ["crop", "roi", "box", "slice"])
def test_every_region_runs(case, region):
    crops = CropTumorSlicesd(region=region, size=96, max_slices_per_tumor=3)(case)["tumor_slices"]
    assert tuple(crops.shape) == (6, 1, 96, 96)
    assert bool(torch.isfinite(crops).all())


def test_tumors_left_out_when_measured_are_not_cut(measured_case):
    cut = CropTumorSlicesd()(MeasureKidneysd(min_tumor_ml=5)(measured_case))
    assert {vote.tumor for vote in cut["slice_votes"]} == {1}


def test_no_tumor(case):
    cut = CropTumorSlicesd()({**case, "tumors": []})
    assert tuple(cut["tumor_slices"].shape) == (0, 1, 130, 130)
    assert cut["slice_votes"] == []


def test_wrong_use(case):
    with pytest.raises(ValueError, match="one scan"):
        CropTumorSlicesd(keys=("a", "b"))
    with pytest.raises(ValueError, match="one of crop, roi, box, slice"):
        CropTumorSlicesd(region="all")
    other = case["segmentation"].clone()
    other[other == 2] = 0
    with pytest.raises(ValueError, match="run MeasureKidneysd"):
        CropTumorSlicesd()({**case, "segmentation": other})
    assert np.isfinite(case["image"].numpy()).all()
