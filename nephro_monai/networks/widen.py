"""Wider networks that start where narrower ones ended (Net2WiderNet; Chen 2016, arXiv 1511.05641, section 2.3)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

__all__ = ["widened_weights"]

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def widened_weights(
    weights: Mapping[str, torch.Tensor], network: nn.Module, noise: float = 0.0, seed: int = 0
) -> dict[str, torch.Tensor]:
    """Weights for a network with a multiple of the channels, which computes what the narrow one does.

    Every channel is copied, and each of its readers divides by the number of copies. Copies that stay equal would learn
    the same; `noise` parts them.

    Args:
        weights: `state_dict` of the narrow network. Its channels reach their readers in order, as concatenation and
            addition leave them; a flattened map would not.
        network: The wide one, of the same names.
        noise: Standard deviation of the relative change of every convolution's weights; 0 keeps the function.
        seed: Of the noise.

    Returns:
        `state_dict` of the wide network, float32.

    Raises:
        ValueError: If names differ, a size of the wide network is no multiple of the narrow one's, or it has grouped
            convolutions.
    """
    wide = network.state_dict()
    if wide.keys() != weights.keys():
        raise ValueError(f"Names differ: {sorted(wide.keys() ^ weights.keys())[:4]}; give two of the same network.")
    readers = {
        f"{name}.weight": 0 if isinstance(module, _TRANSPOSED) else 1
        for name, module in network.named_modules()
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d, *_TRANSPOSED, nn.Linear))
    }
    if any(getattr(module, "groups", 1) != 1 for module in network.modules()):
        raise ValueError("Grouped convolutions do not read all channels; this network has some.")
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for name, value in weights.items():
        new = value.float() if value.is_floating_point() else value.clone()
        for axis, (have, want) in enumerate(zip(value.shape, wide[name].shape, strict=True)):
            if want % have:
                raise ValueError(f"{name} has {have} along axis {axis}, which does not divide the {want} wanted.")
            copies = want // have
            new = new.repeat_interleave(copies, dim=axis) / (copies if readers.get(name) == axis else 1)
        if noise and name in readers:
            new = new * (1 + noise * torch.randn(new.shape, generator=generator))
        made[name] = new.to(value.dtype) if not value.is_floating_point() else new
    return made
