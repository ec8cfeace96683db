"""The loss against its parts."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from nephro_monai.losses.multi_task import MultiTaskLoss


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, 3, (4, 1, 6, 5), generator=generator, dtype=torch.uint8)
    logits = [torch.randn(4, n, *size, generator=generator) for n, size in ((3, (6, 5)), (2, (6, 5)), (3, ()))]
    return logits, label, torch.tensor([0, 1, 2, 1])


def test_the_sum_of_three_cross_entropies(batch):
    (ternary, binary, classes), label, slice_class = batch
    terms = MultiTaskLoss()((ternary, binary, classes), label, slice_class)
    # - sum p log q of each pixel or slice, averaged (equation 4).
    first = -torch.log_softmax(binary, 1).gather(1, (label > 0).long()).mean()
    second = -torch.log_softmax(ternary, 1).gather(1, label.long()).mean()
    third = -torch.log_softmax(classes, 1)[torch.arange(4), slice_class].mean()
    torch.testing.assert_close(terms["loss"], first + second + third)
    assert set(terms) == {"loss", "binary", "ternary", "classification"}


def test_volumes_too(batch):
    _, label, _ = batch
    volume = label[..., None].expand(-1, -1, -1, -1, 2)
    terms = MultiTaskLoss()((torch.zeros(4, 3, 6, 5, 2), torch.zeros(4, 2, 6, 5, 2), None), volume)
    torch.testing.assert_close(terms["loss"], torch.tensor(3.0).log() + torch.tensor(2.0).log())


def test_ternary_loss_only_is_a_value(batch):
    (ternary, binary, classes), label, slice_class = batch
    terms = MultiTaskLoss(binary=0)((ternary, binary, classes), label, slice_class)
    assert "binary" not in terms
    torch.testing.assert_close(terms["loss"], terms["ternary"] + terms["classification"])


def test_heads_that_are_not_there_have_no_term(batch):
    (ternary, _, classes), label, slice_class = batch
    assert set(MultiTaskLoss()((ternary, None, None), label, slice_class)) == {"loss", "ternary"}
    assert set(MultiTaskLoss()((None, None, classes), None, slice_class)) == {"loss", "classification"}
    with pytest.raises(ValueError, match="No term of the loss applies"):
        MultiTaskLoss()((None, None, classes), label)


def test_slices_of_unknown_malignancy_do_not_count(batch):
    (_, _, classes), _, slice_class = batch
    unknown = torch.where(torch.arange(4) == 3, -1, slice_class)
    found = MultiTaskLoss()((None, None, classes), None, unknown)["classification"]
    torch.testing.assert_close(found, functional.cross_entropy(classes[:3], slice_class[:3]))
    none = MultiTaskLoss()((None, None, classes), None, torch.full((4,), -1))["loss"]
    assert none == 0


def test_weights_are_those_of_cross_entropy(batch):
    (ternary, _, classes), label, slice_class = batch
    loss = MultiTaskLoss(label_weights=[1, 1, 4], class_weights=[3, 1, 1], classification=0.5, label_smoothing=0.1)
    terms = loss((ternary, None, classes), label, slice_class)
    expected = functional.cross_entropy(ternary, label[:, 0].long(), torch.tensor([1.0, 1.0, 4.0]))
    torch.testing.assert_close(terms["ternary"], expected)
    expected = functional.cross_entropy(classes, slice_class, torch.tensor([3.0, 1.0, 1.0]), label_smoothing=0.1)
    torch.testing.assert_close(terms["classification"], expected)
    torch.testing.assert_close(terms["loss"], terms["ternary"] + 0.5 * terms["classification"])


def test_weights_must_make_sense():
    with pytest.raises(ValueError, match="not all 0"):
        MultiTaskLoss(0, 0, 0)
    with pytest.raises(ValueError, match="negative"):
        MultiTaskLoss(binary=-1)
