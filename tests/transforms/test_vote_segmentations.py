"""Label maps of several folds become one."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import VoteEnsemble

from nephro_monai.transforms import VoteSegmentationsd
from nephro_monai.transforms.vote_segmentations import majority_label_map


def test_odd_numbers_of_maps_vote_region_by_region():
    torch.manual_seed(0)
    maps = [torch.randint(0, 3, (1, 6, 7, 8), dtype=torch.uint8) for _ in range(5)]
    result = majority_label_map(maps)
    assert result.dtype == torch.uint8
    for label in (1, 2):  # MONAI's vote on each region that KiTS19 scores
        votes = VoteEnsemble(num_classes=2)([(labels >= label).float() for labels in maps])
        assert torch.equal(result >= label, votes.bool())


@pytest.mark.parametrize(
    ("votes", "answer"),
    [([0, 1], 1), ([1, 2], 2), ([0, 2], 2), ([0, 0, 2], 0), ([0, 1, 2], 1), ([2, 0, 0, 1], 1), ([2], 2)],
)
def test_ties_fall_to_the_tumor(votes, answer):
    maps = [torch.full((1, 1, 1, 1), vote, dtype=torch.uint8) for vote in votes]
    assert int(majority_label_map(maps)) == answer


def test_transform_keeps_the_grid():
    affine = torch.diag(torch.tensor([2.0, 2.0, 3.0, 1.0]))
    one = MetaTensor(torch.ones((1, 2, 2, 2), dtype=torch.uint8), affine=affine)
    case = VoteSegmentationsd()({"fold_cases": [{"segmentation": one}] * 3})
    assert torch.equal(case["segmentation"].affine, one.affine) and len(case["fold_cases"]) == 3
    assert torch.equal(case["segmentation"].as_tensor(), one.as_tensor())


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="of one shape"):
        majority_label_map([torch.zeros((1, 2, 2, 2)), torch.zeros((1, 2, 2, 3))])
    with pytest.raises(ValueError, match="of one shape"):
        majority_label_map([])
