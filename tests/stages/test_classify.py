"""Classifying slices: probabilities and votes in the order of the slices."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nephro_monai.stages.classify import ClassifySlicesd
from nephro_monai.structures import SliceVote


class _RedIsMalignant(nn.Module):
    """Logits 0 and 10 x (mean red - 0.5)."""

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        red = 10 * (slices[:, 0].float().mean(dim=(1, 2)) - 0.5)
        return torch.stack([torch.zeros_like(red), red], dim=1)


def _case(*red: float) -> dict:
    slices = torch.zeros(len(red), 3, 16, 16)
    slices[:, 0] = torch.tensor(red)[:, None, None]
    votes = [SliceVote(1, z, z, 3.0 * z, 100.0) for z in range(len(red))]
    return {"colorized_slices": slices, "slice_votes": votes}


def test_probabilities_and_votes() -> None:
    case = _case(0.9, 0.1, 0.6)
    before = list(case["slice_votes"])
    done = ClassifySlicesd(_RedIsMalignant(), batch_size=2)(case)
    malignant = torch.sigmoid(torch.tensor([4.0, -4.0, 1.0]))
    probabilities = done["slice_probabilities"]
    torch.testing.assert_close(probabilities[:, 1], malignant, atol=0.02, rtol=0)  # bfloat16 where it is fast
    torch.testing.assert_close(probabilities.sum(1), torch.ones(3))
    assert [vote.vote for vote in done["slice_votes"]] == ["malignant", "benign", "malignant"]
    assert [vote.slice_index for vote in done["slice_votes"]] == [0, 1, 2]
    assert done["slice_votes"][1].probabilities == pytest.approx(tuple(probabilities[1].tolist()))
    assert case["slice_votes"] == before  # the case given is left as it was


def test_no_slice_no_vote() -> None:
    case = ClassifySlicesd(_RedIsMalignant())({"colorized_slices": torch.zeros(0, 3, 256, 256), "slice_votes": []})
    assert case["slice_probabilities"].shape == (0, 2)
    assert case["slice_votes"] == []


def test_slices_and_votes_must_match() -> None:
    case = _case(0.9, 0.1)
    case["slice_votes"].pop()
    with pytest.raises(ValueError, match=r"2 slices .* 1 entries"):
        ClassifySlicesd(_RedIsMalignant())(case)


def test_outputs_must_match_the_classes() -> None:
    with pytest.raises(ValueError, match="2 outputs"):
        ClassifySlicesd(_RedIsMalignant(), class_names=("benign", "malignant", "normal"))(_case(0.9))


def test_dropout_is_off() -> None:
    network = nn.Sequential(_RedIsMalignant(), nn.Dropout(0.5))
    stage = ClassifySlicesd(network.train())
    first, second = (stage(_case(0.9, 0.2))["slice_probabilities"] for _ in range(2))
    assert torch.equal(first, second)
