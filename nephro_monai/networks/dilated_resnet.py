"""ResNets that keep their resolution: fewer poolings, dilated instead of strided convolutions (Pan 2019, II-A)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import adapt_input_conv
from torch import nn

from nephro_monai.errors import WeightsError

__all__ = ["DilatedResNet", "load_pretrained_backbone"]

_TIMM_STRIDES = {4: 8, 8: 8, 16: 16}
_LEAST_LOADED_SHARE = 0.5


class DilatedResNet(nn.Module):
    """Feature maps of a timm ResNet at a small output stride.

    At stride 8 the two last stages are dilated (2 and 4) instead of strided; at stride 4 the max-pooling after the
    first convolution is left out too. For a slice of 150 x 150 that is 38 x 38 instead of ImageNet's 5 x 5.

    Args:
        name: timm name of a ResNet, for example "resnet50" (the paper's) or "resnet18".
        in_channels: Channels of the input: one per contrast phase.
        output_stride: 4, 8 or 16.
        **options: Further arguments of the timm network: `channels` (of the four stages) and `stem_width` make it
            narrow, `layers` shallow, `pretrained` downloads ImageNet weights.

    Raises:
        ValueError: If the name is no ResNet of timm, or the stride is not allowed.
    """

    def __init__(self, name: str = "resnet50", in_channels: int = 1, output_stride: int = 4, **options: Any) -> None:
        super().__init__()
        if output_stride not in _TIMM_STRIDES:
            raise ValueError(f"output_stride must be one of {sorted(_TIMM_STRIDES)}, got {output_stride}.")
        if not isinstance(name, str) or not timm.is_model(name):
            raise ValueError(f'The backbone needs the name of a timm ResNet, such as "resnet50", got {name!r}.')
        self.network = timm.create_model(
            name, in_chans=in_channels, output_stride=_TIMM_STRIDES[output_stride], num_classes=0, global_pool="",
            **{"pretrained": False, **options},
        )  # fmt: skip
        if not isinstance(self.network, timm.models.ResNet):
            raise ValueError(f"{name} is no ResNet; give one such as resnet18, resnet34, resnet50 or resnext50_32x4d.")
        if output_stride == 4:
            self.network.maxpool = nn.Identity()  # type: ignore[assignment]
        self.channels = int(self.network.num_features)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) to (B, channels, about H / stride, about W / stride)."""
        return self.network.forward_features(image)  # type: ignore[operator]


def load_pretrained_backbone(backbone: DilatedResNet, path: str | Path) -> tuple[int, int]:
    """Loads a ResNet checkpoint of torchvision or timm by key, where shapes fit.

    The first convolution's weights are summed over the colors (one phase) or repeated and scaled (two), as timm does;
    the checkpoint's classifier is left out.

    Args:
        backbone: To fill.
        path: File with a state_dict, or a checkpoint that holds one under "state_dict".

    Returns:
        Counts of loaded and of skipped tensors of the file.

    Raises:
        WeightsError: If the file cannot be read, or fits less than half of the backbone's tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path} does not exist; give the path of a file with pretrained ResNet weights.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"{path} is not a plain state_dict of tensors: {error}.") from error
    state = {key.removeprefix("module."): value for key, value in state.get("state_dict", state).items()}
    own = backbone.network.state_dict()
    first = "conv1.weight"
    if first in state and first in own:
        state[first] = adapt_input_conv(own[first].shape[1], state[first])
    fitting = {key: value for key, value in state.items() if key in own and value.shape == own[key].shape}
    needed = [key for key in own if not key.endswith("num_batches_tracked")]
    if sum(key in fitting for key in needed) < _LEAST_LOADED_SHARE * len(needed):
        raise WeightsError(
            f"{path} fits only {len(fitting)} of the backbone's {len(own)} tensors; "
            "give weights of the same ResNet and width."
        )
    backbone.network.load_state_dict({**own, **fitting})
    skipped = len(state) - len(fitting)
    print(f"{path.name}: {len(fitting)} tensors loaded, {skipped} skipped")
    return len(fitting), skipped
