"""ColorNephroNet (Obuchowski): an ImageNet-style encoder and a dense head on colored tumor slices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from monai.networks.nets import DenseNet
from torch import nn

from nephro_monai.errors import WeightsError

__all__ = ["SliceClassifier", "load_pretrained_encoder"]

_DENSENET121 = {"init_features": 64, "growth_rate": 32, "block_config": (6, 12, 24, 16)}
_LEAST_LOADED_SHARE = 0.5


class SliceClassifier(nn.Module):
    """Encoder, global average pooling, dropout, batch norm, two dense layers, dropout, one output per class.

    Colored slices in 0..1 are brought to ImageNet's mean and standard deviation inside, so that pretrained encoders see
    what they were trained on.

    Args:
        encoder: `{"name": "densenet", ...}` with MONAI's DenseNet arguments (`init_features`, `growth_rate`,
            `block_config`, `bn_size`), `{"name": "densenet121"}` for the paper's size, or any timm name with timm's
            arguments, for example `{"name": "legacy_xception"}`.
        head_features: Neurons of each of the two dense layers, 2048 in the paper.
        dropout: Probability before the batch norm and after the dense layers.
        classes: Number of outputs.

    Raises:
        ValueError: If the encoder's name is unknown.
    """

    def __init__(
        self, encoder: Mapping[str, Any], head_features: int = 2048, dropout: float = 0.2, classes: int = 2
    ) -> None:
        super().__init__()
        self.encoder, features = _build_encoder(dict(encoder))
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.BatchNorm1d(features),
            nn.Linear(features, head_features),
            nn.ReLU(),
            nn.Linear(head_features, head_features),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(head_features, classes),
        )
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225])[:, None, None], persistent=False)

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        """Scores the classes of colored slices.

        Args:
            slices: (B, 3, H, W) RGB in 0..1; 256 x 256 in the paper.

        Returns:
            (B, classes) logits, in the order of `constants.CLASS_NAMES`.
        """
        # No class-level annotations for the buffers: TorchScript cannot read them when they are strings.
        return self.head(self.encoder((slices - self.mean) / self.std))  # type: ignore[operator]

    @torch.jit.ignore
    def features(self, slices: torch.Tensor) -> torch.Tensor:
        """What the last layer sees, (B, head_features); `head[-1]` of it gives the logits."""
        return self.head[:-1](self.encoder((slices - self.mean) / self.std))  # type: ignore[operator]

    def dense_layers(self) -> list[nn.Linear]:
        """The two hidden dense layers, which the paper regularizes with L2."""
        return [layer for layer in self.head if isinstance(layer, nn.Linear)][:2]


def load_pretrained_encoder(network: SliceClassifier, path: str | Path) -> tuple[int, int]:
    """Loads encoder weights by key, where names and shapes fit.

    Understands plain state_dicts of torchvision, timm, MONAI and CheXNet (`module.densenet121.features...`); the
    classifier of the file is left out.

    Args:
        network: Network to fill.
        path: File with a state_dict, or a checkpoint that holds one under "state_dict".

    Returns:
        Counts of loaded and of skipped tensors of the file.

    Raises:
        WeightsError: If the file cannot be read, or less than half of the encoder's tensors were found in it.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path} does not exist; give the path of a file with pretrained encoder weights.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"{path} is not a plain state_dict of tensors: {error}.") from error
    state = state.get("state_dict", state)
    own = network.encoder.state_dict()
    plain = {_plain_key(key): key for key in own}
    found = {plain[_plain_key(key)]: tensor for key, tensor in state.items() if _plain_key(key) in plain}
    fitting = {key: tensor for key, tensor in found.items() if tensor.shape == own[key].shape}
    loaded, skipped = len(fitting), len(state) - len(fitting)
    # Old checkpoints have no batch counters, so those say nothing about whether the file fits.
    needed = [key for key in own if not key.endswith("num_batches_tracked")]
    if sum(key in fitting for key in needed) < _LEAST_LOADED_SHARE * len(needed):
        raise WeightsError(
            f"{path} fits only {loaded} of the encoder's {len(own)} tensors ({skipped} skipped); "
            "give weights of the same architecture and width."
        )
    network.encoder.load_state_dict({**own, **fitting})
    print(f"{path.name}: {loaded} tensors loaded, {skipped} skipped")
    return loaded, skipped


class _TimmFeatures(nn.Module):
    """A timm model without whatever comes after its last feature map (VGG's dense layers too)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        if hasattr(network, "pre_logits"):
            network.pre_logits = nn.Identity()
        self.network = network
        self.channels = int(network.num_features)  # type: ignore[arg-type]

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        return self.network.forward_features(slices)  # type: ignore[operator]


def _build_encoder(encoder: dict[str, Any]) -> tuple[nn.Module, int]:
    name = encoder.pop("name", None)
    if name == "densenet121":
        name, encoder = "densenet", {**_DENSENET121, **encoder}
    if name == "densenet":
        features = DenseNet(spatial_dims=2, in_channels=3, out_channels=2, **encoder).features
        channels = features.get_submodule("norm5").num_features
        return nn.Sequential(features, nn.ReLU(inplace=True)), int(channels)  # type: ignore[arg-type]
    if not isinstance(name, str) or not timm.is_model(name):
        raise ValueError(
            f'encoder needs "name": "densenet", "densenet121" or a timm model such as "vgg16", got {name!r}.'
        )
    network = _TimmFeatures(timm.create_model(name, **{"pretrained": False, **encoder}, num_classes=0, global_pool=""))
    return network, network.channels


def _plain_key(key: str) -> str:
    """One spelling for the keys of MONAI's, torchvision's, timm's and CheXNet's files."""
    key = re.sub(r"^(module\.|model\.)?(densenet121\.)?(encoder\.)?(network\.)?(features\.|0\.)?", "", key)
    key = re.sub(r"\b(norm|conv|relu)\.(\d)\b", r"\1\2", key)
    return key.replace(".layers.", ".")
