"""Doubtful tumors become what else their voxels are."""

from __future__ import annotations

import torch

from nephro_monai.stages.tumor_pieces import drop_doubtful_tumors


def _probabilities() -> torch.Tensor:
    """A kidney with two tumors inside and one outside: sure (0.9), doubtful (0.55) and doubtful (0.5) in fat."""
    found = torch.zeros(3, 40, 20, 20)
    found[0] = 0.9
    found[1] = 0.1
    found[:, 5:35, 5:15, 5:15] = torch.tensor([0.1, 0.85, 0.05])[:, None, None, None]
    for x, background, kidney, tumor in ((8, 0.02, 0.08, 0.9), (20, 0.1, 0.35, 0.55)):
        found[:, x : x + 5, 8:12, 8:12] = torch.tensor([background, kidney, tumor])[:, None, None, None]
    found[:, 36:39, 8:12, 8:12] = torch.tensor([0.4, 0.1, 0.5])[:, None, None, None]
    return found


def test_a_tumor_below_the_bound_becomes_kidney_or_background() -> None:
    found = _probabilities()
    before = found.argmax(0)
    drop_doubtful_tumors(found, 0.65)
    after = found.argmax(0)
    assert (before == 2).sum() == 5 * 16 + 5 * 16 + 3 * 16
    assert (after[8:13, 8:12, 8:12] == 2).all() and (after == 2).sum() == 5 * 16
    assert (after[20:25, 8:12, 8:12] == 1).all()
    assert (after[36:39, 8:12, 8:12] == 0).all()
    assert torch.equal(after[before != 2], before[before != 2])


def test_the_mean_of_a_tumor_decides_and_not_its_voxels() -> None:
    found = _probabilities()
    found[:, 9, 9, 9] = torch.tensor([0.1, 0.35, 0.55])
    drop_doubtful_tumors(found, 0.65)
    assert found.argmax(0)[9, 9, 9] == 2


def test_no_bound_and_no_tumor_change_nothing() -> None:
    found = _probabilities()
    for bound in (0.0, 0.4):
        again = found.clone()
        drop_doubtful_tumors(again, bound)
        assert torch.equal(again, found)
    without = torch.zeros(3, 8, 8, 8)
    without[0] = 1
    again = without.clone()
    drop_doubtful_tumors(again, 0.65)
    assert torch.equal(again, without)
