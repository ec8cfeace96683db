from __future__ import annotations

import pytest
import torch
from monai.losses import TverskyLoss
from torch.nn import functional

from nephro_monai.networks.enet import ENet, _unpool

# Output sizes of the paper's table (Paszke 2016, table 1; Dahiya 2019, figure 3) for 512 x 512, as share of the input.
TABLE = {
    "initial": (16, 2),
    "bottleneck1_0": (64, 4),
    "bottleneck1": (64, 4),
    "bottleneck2_0": (128, 8),
    "bottleneck2": (128, 8),
    "bottleneck3": (128, 8),
    "bottleneck4_0": (64, 4),
    "bottleneck4": (64, 4),
    "bottleneck5_0": (16, 2),
    "bottleneck5": (16, 2),
    "fullconv": (3, 1),
}


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_full_width_has_the_published_size():
    assert parameters(ENet(in_channels=3, out_channels=19)) == pytest.approx(0.37e6, rel=0.02)
    assert parameters(ENet()) == 362_362


def test_output_sizes_are_those_of_the_table():
    network, sizes = ENet().eval(), {}
    for name, part in network.named_children():
        part.register_forward_hook(
            lambda _, __, output, name=name: sizes.update({name: (output[0] if isinstance(output, tuple) else output)})
        )
    with torch.inference_mode():
        network(torch.randn(1, 1, 64, 96))
    found = {name: tuple(output.shape[1:]) for name, output in sizes.items() if name != "standardize"}
    assert found == {name: (channels, 64 // by, 96 // by) for name, (channels, by) in TABLE.items()}


def test_bottlenecks_are_those_of_the_table():
    network = ENet()
    assert [len(network.bottleneck1), len(network.bottleneck4), len(network.bottleneck5)] == [4, 2, 1]
    for stage in (network.bottleneck2, network.bottleneck3):
        kernels = [[c for c in b.extension if isinstance(c, torch.nn.Conv2d)][1:-1] for b in stage]
        assert [k[0].dilation[0] for k in kernels] == [1, 2, 1, 4, 1, 8, 1, 16]
        assert [[c.kernel_size for c in k] for k in kernels if len(k) == 2] == [[(5, 1), (1, 5)]] * 2
    assert all(c.bias is None for c in network.modules() if isinstance(c, torch.nn.Conv2d))
    decoder = [network.bottleneck4_0, network.bottleneck4, network.bottleneck5_0, network.bottleneck5]
    assert not any(isinstance(m, torch.nn.PReLU) for part in decoder for m in part.modules())


def test_dropout_of_the_stages():
    network = ENet(dropout=(0.01, 0.1, 0.2))
    rates = {
        name: {m.p for m in part.modules() if isinstance(m, torch.nn.Dropout2d)}
        for name, part in network.named_children()
    }
    assert rates["bottleneck1_0"] == rates["bottleneck1"] == {0.01}
    assert rates["bottleneck2_0"] == rates["bottleneck2"] == rates["bottleneck3"] == {0.1}
    assert rates["bottleneck4_0"] == rates["bottleneck5"] == {0.2}


def test_unpooling_is_torchs():
    features = torch.randn(2, 3, 8, 12)
    pooled, indices = functional.max_pool2d(features, 2, return_indices=True)
    torch.testing.assert_close(_unpool(pooled, indices), functional.max_unpool2d(pooled, indices, 2), rtol=0, atol=0)


@pytest.mark.parametrize("width", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(1, 1, 32, 32), (2, 1, 40, 24)])
def test_any_multiple_of_8_and_any_batch(width, shape):
    network = ENet(out_channels=4, width=width)
    assert network(torch.randn(shape)).shape == (shape[0], 4, *shape[2:])


def test_every_parameter_learns():
    torch.manual_seed(0)
    network = ENet(width=0.5)
    network(torch.randn(2, 1, 64, 64)).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in network.parameters())


def gradients(network: ENet, image: torch.Tensor, target: torch.Tensor, bfloat16: bool) -> torch.Tensor:
    network.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        logits = network(image)
    functional.cross_entropy(logits.float(), target).backward()
    return torch.cat([p.grad.flatten() for p in network.parameters()])


def test_bfloat16_gradients_differ_by_rounding_only():
    """Which pixel of four is the largest flips with rounding, so gradients are far from float32's, but not farther."""
    torch.manual_seed(0)
    network = ENet(width=0.5, dropout=(0.0, 0.0, 0.0))
    smooth = functional.interpolate(torch.randn(4, 1, 16, 16), scale_factor=8.0, mode="bilinear")
    image, target = smooth + 0.1 * torch.randn_like(smooth), (smooth[:, 0] > 0).long()
    exact = gradients(network, image, target, bfloat16=False)
    fast = gradients(network, image, target, bfloat16=True)
    for layer in network.modules():
        if not list(layer.children()):
            layer.register_forward_hook(lambda _, __, output: output + (output.bfloat16().float() - output).detach())
    rounded = gradients(network, image, target, bfloat16=False)
    assert fast.isfinite().all()
    similar = functional.cosine_similarity(exact, rounded, dim=0)
    assert functional.cosine_similarity(exact, fast, dim=0) > similar - 0.2


def test_memory_orders_agree():
    network = ENet(width=0.5).eval()
    image = torch.randn(1, 1, 32, 48)
    with torch.inference_mode():
        plain = network(image)
        ordered = network.to(memory_format=torch.channels_last)(image.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(ordered, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(60, 64), (64, 65)])
def test_sizes_that_do_not_fit_are_named(shape):
    with pytest.raises(ValueError, match=rf"multiples of 8; got \[{shape[0]}, {shape[1]}\]"):
        ENet(width=0.25)(torch.zeros(1, 1, *shape))


@pytest.mark.parametrize(
    "arguments", [{"width": 0.0}, {"out_channels": 0}, {"in_channels": 16}, {"width": 0.1, "in_channels": 4}]
)
def test_impossible_widths_are_refused(arguments):
    with pytest.raises(ValueError, match="ENet needs"):
        ENet(**arguments)


def test_statistics_travel_with_the_weights():
    made = ENet(width=0.25, slice_shape=(16, 24))
    mean, deviation = torch.randn(1, 16, 24) * 100, torch.rand(1, 16, 24) * 100 + 20
    made.set_statistics(mean, deviation)
    other = ENet(width=0.25, slice_shape=(16, 24)).eval()
    other.load_state_dict(made.state_dict(), strict=True)
    plain = ENet(width=0.25).eval()
    plain.load_state_dict({k: v for k, v in made.state_dict().items() if not k.startswith("standardize")}, strict=True)
    hu = torch.randn(2, 1, 16, 24) * 200
    with torch.inference_mode():
        torch.testing.assert_close(other(hu), plain((hu - mean) / deviation))
    with pytest.raises(ValueError, match="no slice statistics"):
        plain.set_statistics(mean, deviation)
    with pytest.raises(ValueError, match="multiples of 8"):
        ENet(slice_shape=(16, 20))


def test_scripts_for_ckpt_export():
    network = ENet(width=0.25, slice_shape=(16, 16)).eval()
    scripted = torch.jit.script(network)
    image = torch.randn(1, 1, 16, 16)
    torch.testing.assert_close(scripted(image), network(image))


def test_exports():
    network = ENet(width=0.25, slice_shape=(16, 16)).eval()
    image = torch.randn(1, 1, 16, 16)
    exported = torch.export.export(network, (image,)).module()
    torch.testing.assert_close(exported(image), network(image))


def test_tversky_loss_is_the_papers():
    """Figure 5 of Dahiya 2019, written out: alpha on false positives, beta on false negatives."""
    torch.manual_seed(0)
    logits, truth = torch.randn(4, 2, 16, 16), torch.randint(0, 2, (4, 1, 16, 16))
    loss = TverskyLoss(include_background=False, to_onehot_y=True, softmax=True, alpha=0.3, beta=0.7, batch=True)
    p0 = torch.softmax(logits, dim=1)[:, 1]
    p1, g0 = 1 - p0, truth[:, 0].float()
    g1 = 1 - g0
    index = (p0 * g0).sum() / ((p0 * g0).sum() + 0.3 * (p0 * g1).sum() + 0.7 * (p1 * g0).sum())
    assert loss(logits, truth).item() == pytest.approx(1 - index.item(), abs=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_cpu():
    network = ENet(width=0.5).eval()
    image = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        on_cpu = network(image)
        on_cuda = network.cuda()(image.cuda())
    torch.testing.assert_close(on_cuda.cpu(), on_cpu, rtol=1e-3, atol=1e-3)
