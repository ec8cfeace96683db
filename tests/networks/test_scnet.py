"""SCNet: sizes, heads, gradients, precision and export."""

from __future__ import annotations

import io

import pytest
import torch

from nephro_monai.networks.scnet import SCNet

NARROW = {"name": "resnet10t", "channels": [4, 8, 12, 16], "stem_width": 4}


def narrow(**settings) -> SCNet:
    return SCNet(encoder=NARROW, class_features=[8, 8], **settings)


@pytest.mark.parametrize(("phases", "shape"), [(1, (150, 150)), (2, (150, 150)), (1, (97, 61))])
def test_outputs(phases, shape):
    network = narrow(in_channels=phases).eval()
    image = torch.randn(1, phases, *shape)
    with torch.inference_mode():
        outputs = network.outputs(image)
        torch.testing.assert_close(network(image), outputs.ternary)
    assert outputs.ternary.shape == (1, 3, *shape)
    assert outputs.binary.shape == (1, 2, *shape)
    assert outputs.classes.shape == (1, 3)


def test_every_parameter_learns_from_the_sum_of_the_heads():
    network = narrow()
    outputs = network.outputs(torch.randn(2, 1, 64, 64))
    sum(head.square().mean() for head in outputs).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_both_heads_share_one_pass_of_the_backbone():
    network = narrow().eval()
    passes = []
    network.encoder.register_forward_hook(lambda *_: passes.append(1))
    network.outputs(torch.zeros(1, 1, 64, 64))
    assert len(passes) == 1


def test_bfloat16_stays_close():
    torch.manual_seed(0)
    network = narrow().eval()
    image = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        exact = network(image)
        with torch.autocast("cpu", torch.bfloat16):
            fast = network(image)
    assert (exact - fast.float()).abs().max() < 0.1 * exact.abs().max()


def test_scripted_network_gives_the_same_numbers():
    network = narrow().eval()
    image = torch.randn(1, 1, 64, 64)
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(network), buffer)
    buffer.seek(0)
    with torch.inference_mode():
        torch.testing.assert_close(torch.jit.load(buffer)(image), network(image), atol=1e-5, rtol=1e-4)


def test_the_papers_size():
    with torch.device("meta"):
        network = SCNet()
    backbone = sum(p.numel() for p in network.encoder.parameters())
    assert round(backbone / 1e6, 1) == 23.5  # ResNet-50 without its classifier, one input channel
    assert network.segment.f[0].out_channels == 32
    assert [branch[0].kernel_size for branch in network.pyramid.branches] == [2, 4, 8]


def test_residual_blocks_are_needed():
    with pytest.raises(ValueError, match="at least one residual block"):
        SCNet(encoder=NARROW, class_features=[])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_same():
    network = narrow().eval()
    image = torch.randn(2, 1, 150, 150)
    with torch.inference_mode():
        expected = network(image)
        torch.testing.assert_close(network.cuda()(image.cuda()).cpu(), expected, atol=1e-3, rtol=1e-3)
