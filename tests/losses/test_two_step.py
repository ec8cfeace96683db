"""The two-step loss against its parts."""

from __future__ import annotations

import pytest
import torch
from monai.losses import DiceLoss

from nephro_monai.losses.two_step import TwoStepLoss
from nephro_monai.networks.two_step_head import MultiTaskOutput


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, 3, (2, 1, 4, 5, 3), generator=generator, dtype=torch.uint8)
    ternary, binary = (torch.randn(2, n, 4, 5, 3, generator=generator) for n in (3, 2))
    return ternary, binary, label


def dice() -> DiceLoss:
    return DiceLoss(softmax=True, to_onehot_y=True)


def test_the_networks_own_loss_and_a_cross_entropy(batch):
    ternary, binary, label = batch
    found = TwoStepLoss(dice(), weight=0.5)(MultiTaskOutput(ternary, binary), label)
    first = -torch.log_softmax(binary, 1).gather(1, (label > 0).long()).mean()
    torch.testing.assert_close(found, dice()(ternary, label) + 0.5 * first)


def test_logits_alone_are_the_second_step(batch):
    ternary, _, label = batch
    torch.testing.assert_close(TwoStepLoss(dice())(ternary, label), dice()(ternary, label))


def test_what_does_not_fit(batch):
    ternary, _, label = batch
    with pytest.raises(ValueError, match="TwoStepNetwork"):
        TwoStepLoss(dice())(MultiTaskOutput(ternary), label)
    with pytest.raises(ValueError, match="negative"):
        TwoStepLoss(dice(), weight=-1.0)
