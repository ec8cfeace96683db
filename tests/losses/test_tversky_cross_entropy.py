"""Tversky loss and cross-entropy against their parts."""

from __future__ import annotations

import pytest
import torch
from monai.losses import TverskyLoss
from torch.nn import functional

from nephro_monai.losses.tversky_cross_entropy import TverskyCELoss


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 3, 6, 5, generator=generator), torch.randint(0, 3, (4, 1, 6, 5), generator=generator)


def tversky() -> TverskyLoss:
    return TverskyLoss(include_background=False, to_onehot_y=True, softmax=True, alpha=0.3, beta=0.7, batch=True)


def test_is_the_sum_of_its_parts(batch):
    logits, label = batch
    weights = torch.tensor([1.0, 1.0, 3.0])
    expected = tversky()(logits, label) + 0.5 * functional.cross_entropy(logits, label[:, 0], weights)
    torch.testing.assert_close(TverskyCELoss(cross_entropy=0.5, label_weights=[1.0, 1.0, 3.0])(logits, label), expected)
    torch.testing.assert_close(TverskyCELoss(cross_entropy=0.0)(logits, label), tversky()(logits, label))


def test_a_class_that_died_out_gets_a_gradient_again(batch):
    """Where a network says "no tumor" everywhere, the Tversky loss hardly pulls at it, cross-entropy does."""
    _, label = batch
    pulls = []
    for cross_entropy in (0.0, 1.0):
        logits = torch.zeros(4, 3, 6, 5)
        logits[:, 2] = -10
        logits.requires_grad_()
        TverskyCELoss(cross_entropy=cross_entropy)(logits, label).backward()
        pulls.append(-float(logits.grad[:, 2][label[:, 0] == 2].sum()))
    assert pulls[0] < 1e-3 and pulls[1] > 0.1


def test_negative_weights_are_refused():
    with pytest.raises(ValueError, match="negative"):
        TverskyCELoss(alpha=-0.1)
