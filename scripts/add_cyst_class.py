"""Gives V-Net weights with three classes a fourth one for cysts, which starts as a copy of the kidney's.

python scripts/add_cyst_class.py OLD.pt NEW.pt
"""

from __future__ import annotations

import sys

import torch

from nephro_monai.constants import CYST, KIDNEY

_LAST = "out_tr."
_SMALL = 0.02
_BEHIND_KIDNEY = 2.0  # logits


def with_cyst_class(state: dict[str, torch.Tensor], seed: int = 0) -> dict[str, torch.Tensor]:
    """The `state_dict` of a `VNet` with `out_channels=4` from that of one with 3."""
    generator = torch.Generator().manual_seed(seed)
    made = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    for name in [name for name in made if name.startswith(_LAST) and made[name].ndim]:
        old = made[name]
        if name.endswith("conv2.weight"):
            new = torch.zeros(CYST + 1, CYST + 1, *old.shape[2:])
            new[:CYST, :CYST], new[CYST, :CYST] = old, old[KIDNEY]
            new[:, CYST] = _SMALL * torch.randn(new[:, CYST].shape, generator=generator)
            new[CYST, CYST] = 0.1
        else:
            copy = old[KIDNEY : KIDNEY + 1]
            if old.ndim > 1:
                copy = copy + _SMALL * copy.abs().mean() * torch.randn(copy.shape, generator=generator)
            new = torch.cat([old, copy - _BEHIND_KIDNEY if name.endswith("conv2.bias") else copy])
        made[name] = new
    return made


if __name__ == "__main__":
    source, target = sys.argv[1:]
    torch.save(with_cyst_class(torch.load(source, map_location="cpu", weights_only=True)), target)
