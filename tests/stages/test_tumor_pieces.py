"""Doubtful tumors become what else their voxels are."""

from __future__ import annotations

import pytest
import torch

from nephro_monai.stages import SimpleCysts
from nephro_monai.stages.tumor_pieces import cysts_become_kidney, drop_doubtful_tumors


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


def _hu(cyst: float, kidney: float = 150.0, noise: float = 8.0) -> torch.Tensor:
    """Of `_probabilities`: fat, the kidney, the first tumor as given, the second of 70 HU."""
    values = torch.full((40, 20, 20), -90.0)
    values[5:35, 5:15, 5:15] = kidney
    values[8:13, 8:12, 8:12] = cyst
    values[20:25, 8:12, 8:12] = 70.0
    return values + noise * torch.randn(values.shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("cyst", [-5.0, 8.0, 15.0])
def test_homogeneous_fluid_after_contrast_is_kidney(cyst: float) -> None:
    found = _probabilities()
    before = found.argmax(0)
    cysts_become_kidney(found, _hu(cyst), SimpleCysts())
    after = found.argmax(0)
    assert (after[8:13, 8:12, 8:12] == 1).all()
    assert (after[20:25, 8:12, 8:12] == 2).all(), "the tumor beside it stays"
    changed = before != after
    assert changed.sum() == changed[8:13, 8:12, 8:12].sum()
    torch.testing.assert_close(found.sum(0), _probabilities().sum(0))


@pytest.mark.parametrize(
    ("hu", "why"),
    [
        (_hu(35.0), "denser than fluid"),
        (_hu(-40.0), "fat"),
        (_hu(8.0, kidney=30.0), "no contrast agent"),
        (_hu(8.0, noise=60.0), "not homogeneous"),
    ],
)
def test_what_else_is_dark_stays_a_tumor(hu: torch.Tensor, why: str) -> None:
    found = _probabilities()
    cysts_become_kidney(found, hu, SimpleCysts())
    assert torch.equal(found, _probabilities()), why


def test_fluid_apart_from_the_kidney_stays_and_small_cysts_are_measured_whole() -> None:
    """As a gallbladder in a whole body that is taken for one box; and a cyst of which erosion leaves nothing."""
    found, hu = _probabilities(), _hu(8.0)
    found[:, 36:39, 8:12, 8:12] = torch.tensor([0.1, 0.1, 0.8])[:, None, None, None]
    hu[36:39, 8:12, 8:12] = 5.0
    found[:, 8:13, 8:12, 8:12] = torch.tensor([0.1, 0.85, 0.05])[:, None, None, None]
    found[:, 8:10, 8:10, 8:10] = torch.tensor([0.1, 0.1, 0.8])[:, None, None, None]
    cysts_become_kidney(found, hu, SimpleCysts())
    after = found.argmax(0)
    assert (after[36:39, 8:12, 8:12] == 2).all()
    assert (after[8:10, 8:10, 8:10] == 1).all()


def test_a_soft_border_of_a_cyst_stays_outside_of_the_kidney() -> None:
    found, hu = _probabilities(), _hu(5.0)
    found[:, 8:13, 8:12, 15:18] = torch.tensor([0.1, 0.0, 0.9])[:, None, None, None]
    found[:, 8:13, 8:12, 18] = torch.tensor([0.45, 0.25, 0.3])[:, None, None]
    hu[8:13, 8:12, 12:19] = 5.0
    before = found.argmax(0)
    cysts_become_kidney(found, hu, SimpleCysts())
    after = found.argmax(0)
    assert (before[8:13, 8:12, 15:18] == 2).all() and (after[8:13, 8:12, 15:18] == 1).all()
    assert torch.equal(after == 0, before == 0)


def test_fluid_without_a_kidney_beside_it_stays() -> None:
    found = torch.zeros(3, 10, 10, 10)
    found[0] = 1
    found[:, 3:7, 3:7, 3:7] = torch.tensor([0.0, 0.1, 0.9])[:, None, None, None]
    before = found.clone()
    cysts_become_kidney(found, torch.zeros(10, 10, 10), SimpleCysts())
    assert torch.equal(found, before)
