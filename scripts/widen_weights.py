"""Gives a V-Net's weights to one of a multiple of its width, which starts where the narrow one ended.

python scripts/widen_weights.py OLD.pt NEW.pt WIDTH
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from nephro_monai.io import atomic_path
from nephro_monai.networks.vnet import VNet
from nephro_monai.networks.widen import widened_weights

_NOISE = 0.1


def main(arguments: Sequence[str]) -> int:
    """Writes the weights; 2 for wrong use."""
    if len(arguments) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    source, target, width = arguments
    weights = torch.load(source, map_location="cpu", weights_only=True)
    network = VNet(
        out_channels=len(weights["out_tr.conv2.bias"]),
        width=int(width),
        kernel_size=weights["in_tr.conv_block.conv.weight"].shape[-1],
        dropout=(0.0, 0.0, 0.0),
    )
    with atomic_path(Path(target)) as path:
        torch.save(widened_weights(weights, network, _NOISE), path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
