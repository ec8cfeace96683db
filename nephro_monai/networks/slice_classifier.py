"""ColorNephroNet (Obuchowski): an ImageNet-style encoder and a dense head on colored tumor slices."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import timm
import torch
from monai.networks.nets import DenseNet
from safetensors.torch import load_file
from timm.layers import SelectAdaptivePool2d
from torch import nn

from nephro_monai.errors import WeightsError

__all__ = ["ENCODERS", "SliceClassifier", "load_pretrained_encoder"]

ENCODERS: Final[dict[str, str]] = {
    "vgg16": "vgg16",
    "xception": "legacy_xception",
    "resnetv2": "resnetv2_50",
    "densenet121": "densenet121",
    "chexnet": "densenet121",
}
"""The encoders that the paper compares, by timm's names. CheXNet is a DenseNet-121 with weights of its own."""

DOWNLOAD: Final = "timm"
"""In place of a file, asks for timm's own ImageNet weights."""

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_LEAST_LOADED_SHARE = 0.5


class SliceClassifier(nn.Module):
    """Encoder, global average pooling, dropout, batch norm, two dense layers, dropout, one output per class.

    Colored slices in 0..1 are brought to the mean and standard deviation of the encoder's pretraining inside
    (ImageNet's unless timm knows better), so that pretrained encoders see what they were trained on.

    Args:
        encoder: `{"name": "vgg16"}`, `"xception"`, `"resnetv2"`, `"densenet121"` or `"chexnet"` for those of the paper
            (`ENCODERS`), any other timm name with timm's arguments, or `{"name": "densenet", ...}` with the arguments
            of MONAI's DenseNet (`init_features`, `growth_rate`, `block_config`, `bn_size`) for smaller ones. Random
            weights; `"pretrained": true` downloads timm's each time the network is made (prefer
            `load_pretrained_encoder`, once before training).
        head_features: Neurons of each of the two dense layers, 2048 in the paper.
        dropout: Probability before the batch norm and after the dense layers.
        classes: Number of outputs.
        pooling: Global pooling as timm names it: "avg" (the paper), "max", or "catavgmax", both side by side: small
            signs, such as a scar or a spot of fat, drown in an average.

    Raises:
        ValueError: If the encoder's name or the pooling is unknown.
        WeightsError: If weights were asked for and cannot be downloaded.
    """

    def __init__(
        self,
        encoder: Mapping[str, Any],
        head_features: int = 2048,
        dropout: float = 0.2,
        classes: int = 2,
        pooling: str = "avg",
    ) -> None:
        super().__init__()
        self.encoder, features, mean, std = _build_encoder(dict(encoder))
        if pooling not in ("avg", "max", "catavgmax"):
            raise ValueError(f"pooling is one of avg, max and catavgmax, got {pooling!r}.")
        pool = SelectAdaptivePool2d(pool_type=f"fast{pooling}")  # the fast ones can be scripted
        features *= pool.feat_mult()
        self.head = nn.Sequential(
            pool,
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
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

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


def load_pretrained_encoder(network: SliceClassifier, source: str | Path) -> tuple[int, int]:
    """Loads encoder weights by key, where names and shapes fit.

    Understands plain state_dicts of torchvision, timm, MONAI and CheXNet. CheXNet's checkpoint
    (`{"state_dict": {"module.densenet121.features.denseblock1.denselayer1.norm.1.weight": ...}}`) loads into
    `{"name": "chexnet"}`; the classifier of every file is left out.

    Args:
        network: Network to fill.
        source: File with a state_dict (or a checkpoint that holds one under "state_dict") as torch or safetensors
            writes it, or "timm" to download timm's ImageNet weights of the network's encoder.

    Returns:
        Counts of loaded and of skipped tensors of the file.

    Raises:
        WeightsError: If the file cannot be read or the weights cannot be downloaded, or less than half of the encoder's
            tensors were found in it.
    """
    state = _downloaded_state(network) if str(source) == DOWNLOAD else _state_of_file(Path(source))
    own = network.encoder.state_dict()
    plain = {_plain_key(key): key for key in own}
    found = {plain[_plain_key(key)]: tensor for key, tensor in state.items() if _plain_key(key) in plain}
    fitting = {key: tensor for key, tensor in found.items() if tensor.shape == own[key].shape}
    loaded, skipped = len(fitting), len(state) - len(fitting)
    # Old checkpoints have no batch counters, so those say nothing about whether the file fits.
    needed = [key for key in own if not key.endswith("num_batches_tracked")]
    if sum(key in fitting for key in needed) < _LEAST_LOADED_SHARE * len(needed):
        raise WeightsError(
            f"{source} fits only {loaded} of the encoder's {len(own)} tensors ({skipped} skipped); "
            "give weights of the same architecture and width."
        )
    network.encoder.load_state_dict({**own, **fitting})
    print(f"{Path(source).name}: {loaded} tensors loaded, {skipped} skipped")
    return loaded, skipped


class _TimmFeatures(nn.Module):
    """A timm model without whatever comes after its last feature map (VGG's dense layers too)."""

    def __init__(self, network: nn.Module, name: str) -> None:
        super().__init__()
        if hasattr(network, "pre_logits"):
            network.pre_logits = nn.Identity()
        self.network = network
        self.name = name
        self.channels = int(network.num_features)  # type: ignore[arg-type]

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        return self.network.forward_features(slices)  # type: ignore[operator]


def _build_encoder(encoder: dict[str, Any]) -> tuple[nn.Module, int, Sequence[float], Sequence[float]]:
    """The encoder, its channels, and the mean and standard deviation of its pretraining."""
    name = encoder.pop("name", None)
    if name == "densenet":
        layers = DenseNet(spatial_dims=2, in_channels=3, out_channels=2, **encoder).features
        channels = int(layers.get_submodule("norm5").num_features)  # type: ignore[arg-type]
        return nn.Sequential(layers, nn.ReLU(inplace=True)), channels, _IMAGENET_MEAN, _IMAGENET_STD
    timm_name = ENCODERS.get(name, name) if isinstance(name, str) else ""
    if not timm.is_model(timm_name):
        raise ValueError(
            f'encoder needs "name": "densenet", one of {", ".join(ENCODERS)}, or another timm model, got {name!r}.'
        )
    if name == "chexnet" and encoder.get("pretrained"):
        raise WeightsError(_NO_CHEXNET)
    network = _timm_model(timm_name, encoder)
    settings: Mapping[str, Any] = network.pretrained_cfg  # type: ignore[assignment]
    features = _TimmFeatures(network, str(name))
    return features, features.channels, settings["mean"], settings["std"]


_NO_CHEXNET = (
    "CheXNet's weights cannot be downloaded through timm; get the checkpoint that its authors or a reimplementation "
    "released, and give its path (pretrained_encoder=FILE in training)."
)


def _timm_model(timm_name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """A timm model without its classifier; pretrained only where the arguments ask for it."""
    try:
        return timm.create_model(timm_name, **{"pretrained": False, **arguments}, num_classes=0, global_pool="")
    except Exception as error:
        if not arguments.get("pretrained"):
            raise
        raise WeightsError(
            f"timm's weights of {timm_name} cannot be downloaded ({type(error).__name__}: {error}). Connect to the "
            "network, or download them elsewhere and give the file (pretrained_encoder=FILE in training)."
        ) from error


def _downloaded_state(network: SliceClassifier) -> Mapping[str, torch.Tensor]:
    """Timm's own weights for the network's encoder."""
    encoder = network.encoder
    if not isinstance(encoder, _TimmFeatures):
        raise WeightsError(
            f"timm has no weights for an encoder of another size; use one of {', '.join(ENCODERS)}, or give a file."
        )
    if encoder.name == "chexnet":
        raise WeightsError(_NO_CHEXNET)
    return _timm_model(ENCODERS.get(encoder.name, encoder.name), {"pretrained": True}).state_dict()


def _state_of_file(path: Path) -> Mapping[str, torch.Tensor]:
    if not path.is_file():
        raise WeightsError(
            f"{path} does not exist; give the path of a file with pretrained encoder weights, or {DOWNLOAD!r}."
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"{path} is not a plain state_dict of tensors: {error}.") from error
    return state.get("state_dict", state)


def _plain_key(key: str) -> str:
    """One spelling for the keys of MONAI's, torchvision's, timm's and CheXNet's files."""
    key = re.sub(r"^(module\.|model\.)?(densenet121\.)?(encoder\.)?(network\.)?(features\.|0\.)?", "", key)
    key = re.sub(r"\b(norm|conv|relu)\.(\d)\b", r"\1\2", key)
    return key.replace(".layers.", ".")
