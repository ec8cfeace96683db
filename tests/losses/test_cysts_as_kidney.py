"""A network that tells cysts from kidneys, on labels that do not."""

from __future__ import annotations

import pytest
import torch
from monai.losses import DiceCELoss
from torch.nn import functional

from nephro_monai.constants import CYST, KIDNEY
from nephro_monai.losses.cysts_as_kidney import CystsAsKidneyLoss


def test_cross_entropy_is_that_of_the_summed_probabilities() -> None:
    torch.manual_seed(0)
    logits = 3 * torch.randn(2, 4, 3, 4, 5)
    label = torch.randint(0, 3, (2, 1, 3, 4, 5))
    probabilities = torch.softmax(logits, 1)
    merged = probabilities[:, :CYST].clone()
    merged[:, KIDNEY] += probabilities[:, CYST]
    expected = functional.nll_loss(merged.log(), label[:, 0])
    found = CystsAsKidneyLoss(lambda a, b: functional.cross_entropy(a, b[:, 0]))(logits, label)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_cyst_called_cyst_costs_no_more_than_one_called_kidney() -> None:
    label = torch.full((1, 1, 4, 4, 4), KIDNEY)
    loss = CystsAsKidneyLoss(DiceCELoss(to_onehot_y=True, softmax=True, weight=torch.tensor([1.0, 1.0, 4.0])))
    values = []
    for name in (KIDNEY, CYST):
        logits = torch.full((1, 4, 4, 4, 4), -9.0, requires_grad=True)
        with torch.no_grad():
            logits[:, name] = 9.0
        value = loss(logits, label)
        value.backward()
        assert logits.grad is not None and logits.grad.isfinite().all()
        values.append(value.item())
    assert values[0] == pytest.approx(values[1], abs=1e-6)


def test_three_classes_pass_unchanged() -> None:
    logits, label = torch.randn(1, 3, 4, 4, 4), torch.randint(0, 3, (1, 1, 4, 4, 4))
    loss = DiceCELoss(to_onehot_y=True, softmax=True)
    assert CystsAsKidneyLoss(loss)(logits, label) == loss(logits, label)
