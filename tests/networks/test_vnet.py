from __future__ import annotations

import pytest
import torch
from monai.networks.nets import VNet as MonaiVNet

from nephro_monai.networks.vnet import VNet


def test_width_16_is_monais_vnet():
    reference = MonaiVNet(in_channels=1, out_channels=3).eval()
    network = VNet(in_channels=1, out_channels=3, width=16).eval()
    network.load_state_dict(reference.state_dict(), strict=True)
    image = torch.randn(1, 1, 16, 32, 16)
    with torch.inference_mode():
        torch.testing.assert_close(network(image), reference(image), rtol=0, atol=0)
    dropouts = [m.p for m in network.modules() if isinstance(m, torch.nn.Dropout3d)]
    assert dropouts == [m.p for m in reference.modules() if isinstance(m, torch.nn.Dropout3d)]


@pytest.mark.parametrize("width", [1, 2, 8])
def test_widths_double_from_stage_to_stage(width):
    network = VNet(width=width)
    channels = [getattr(network, f"down_tr{n}").bn1.num_features for n in (32, 64, 128, 256)]
    assert channels == [2 * width, 4 * width, 8 * width, 16 * width]


@pytest.mark.parametrize(("kernel_size", "millions"), [(5, 11.4), (3, 2.6)])
def test_sizes_of_narrow_networks(kernel_size, millions):
    network = VNet(width=8, kernel_size=kernel_size)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 1) == millions
    kernels = {m.kernel_size[0] for m in network.modules() if isinstance(m, torch.nn.Conv3d)}
    assert kernels == {kernel_size, 2, 1}


def test_even_kernels_are_refused():
    with pytest.raises(ValueError, match="odd kernel_size"):
        VNet(width=2, kernel_size=4)


@pytest.mark.parametrize("shape", [(16, 16, 16), (32, 16, 48)])
def test_output_has_the_inputs_size(shape):
    logits = VNet(width=2, out_channels=4)(torch.randn(2, 1, *shape))
    assert logits.shape == (2, 4, *shape)
    logits.sum().backward()


def test_every_parameter_learns():
    network = VNet(width=2, dropout=(0.0, 0.0, 0.0))
    network(torch.randn(2, 1, 32, 32, 16)).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_bfloat16_training_gradients_are_right_at_the_patch_size():
    """Guards against oneDNN's wrong weight gradients in the deepest stage (4 x 4 x 2 voxels there)."""
    torch.manual_seed(0)
    network = VNet(width=4, dropout=(0.0, 0.0, 0.0)).to(memory_format=torch.channels_last_3d)
    image = torch.randn(1, 1, 64, 64, 32).contiguous(memory_format=torch.channels_last_3d)
    gradients = []
    for enabled in (False, True):
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            logits = network(image)
        logits.float().square().mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in network.down_tr256.ops.parameters()]))
    exact, fast = gradients
    assert fast.isfinite().all()
    assert torch.nn.functional.cosine_similarity(exact, fast, dim=0) > 0.9


def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"multiple of 16; got \[16, 20, 16\]"):
        VNet(width=2)(torch.zeros(1, 1, 16, 20, 16))


@pytest.mark.parametrize("arguments", [{"width": 0}, {"out_channels": 0}, {"in_channels": 3, "width": 8}])
def test_impossible_widths_are_refused(arguments):
    with pytest.raises(ValueError, match="VNet needs"):
        VNet(**arguments)


def test_scripts_for_ckpt_export():
    network = VNet(width=2).eval()
    scripted = torch.jit.script(network)
    image = torch.randn(1, 1, 16, 16, 16)
    torch.testing.assert_close(scripted(image), network(image))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_cpu():
    network = VNet(width=2).eval()
    image = torch.randn(1, 1, 32, 32, 16)
    with torch.inference_mode():
        on_cpu = network(image)
        on_cuda = network.cuda()(image.cuda())
    torch.testing.assert_close(on_cuda.cpu(), on_cpu, rtol=1e-3, atol=1e-3)
