"""Tells benign from malignant, slice by slice."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch import nn

from nephro_monai.constants import CLASS_NAMES
from nephro_monai.networks.autocast import autocast

__all__ = ["ClassifySlicesd"]

_VOTES = "slice_votes"


class ClassifySlicesd(MapTransform):
    """Runs the slice classifier over the colored slices of a case.

    Adds to the case dictionary:
        slice_probabilities: float32 (S, classes), on the CPU.
        slice_features: float32 (S, C, h, w), on the CPU: what `feature_layer` gave, for `ExplainSlicesd`; only where
            one is named.

    Changes:
        slice_votes: each `structures.SliceVote` gets its probabilities and its vote, the most probable class.
    """

    def __init__(
        self,
        network: nn.Module,
        keys: KeysCollection = "colorized_slices",
        output_key: str = "slice_probabilities",
        class_names: Sequence[str] = CLASS_NAMES,
        batch_size: int = 16,
        device: torch.device | str = "cpu",
        feature_layer: str | None = None,
    ) -> None:
        """Prepares the network.

        Args:
            network: RGB slices (B, 3, H, W) in 0..1 to logits (B, classes), for example `SliceClassifier`.
            keys: Where the colored slices are.
            output_key: Where the probabilities go.
            class_names: Names of the network's outputs.
            batch_size: Slices per pass.
            device: Where the network runs.
            feature_layer: Name of the layer whose output is kept, such as "encoder"; None keeps nothing.

        Raises:
            ValueError: If more than one key is given, `batch_size` is below 1, or there is no such layer.
        """
        super().__init__(keys)
        if len(self.keys) != 1 or batch_size < 1:
            raise ValueError(f"ClassifySlicesd needs one key and batch_size >= 1, got {self.keys} and {batch_size}.")
        self.device = torch.device(device)
        self.network = network.eval().to(self.device).to(memory_format=torch.channels_last)
        self.output_key = output_key
        self.class_names = tuple(class_names)
        self.batch_size = batch_size
        layers = dict(self.network.named_modules())
        if feature_layer is not None and feature_layer not in layers:
            names = ", ".join(name for name, _ in self.network.named_children())
            raise ValueError(f"The network has no layer '{feature_layer}' to keep features of; it has {names}, ...")
        self.feature_layer = None if feature_layer is None else layers[feature_layer]

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns the case with probabilities and votes; a case without slices keeps an empty tensor and no vote.

        Raises:
            ValueError: If slices and votes differ in number, or the network's outputs and the class names do.
        """
        case = dict(data)
        slices = torch.as_tensor(case[self.keys[0]])
        votes = list(case[_VOTES])
        if len(votes) != len(slices):
            raise ValueError(
                f"{len(slices)} slices in '{self.keys[0]}' but {len(votes)} entries in '{_VOTES}'; "
                "both must come from the same CropTumorSlicesd."
            )
        with self._kept_features() as features:
            probabilities = self._probabilities(slices)
        case[self.output_key] = probabilities
        if self.feature_layer is not None:
            case["slice_features"] = torch.cat(features) if features else torch.empty((0, 1, 1, 1))
        case[_VOTES] = [
            replace(vote, probabilities=tuple(row), vote=self.class_names[max(range(len(row)), key=row.__getitem__)])
            for vote, row in zip(votes, probabilities.tolist(), strict=True)
        ]
        return case

    @contextmanager
    def _kept_features(self) -> Iterator[list[torch.Tensor]]:
        """Collects what the feature layer gives meanwhile."""
        features: list[torch.Tensor] = []
        if self.feature_layer is None:
            yield features
            return
        hook = self.feature_layer.register_forward_hook(
            lambda _layer, _inputs, output: features.append(output.detach().float().cpu())
        )
        try:
            yield features
        finally:
            hook.remove()

    @torch.inference_mode()
    def _probabilities(self, slices: torch.Tensor) -> torch.Tensor:
        found = [torch.empty((0, len(self.class_names)))]
        for batch in slices.split(self.batch_size) if len(slices) else ():
            batch = batch.to(self.device).contiguous(memory_format=torch.channels_last)
            with autocast(self.device):
                logits = self.network(batch)
            if logits.shape[1] != len(self.class_names):
                raise ValueError(f"The network has {logits.shape[1]} outputs, the classes are {self.class_names}.")
            found.append(torch.softmax(logits.float(), dim=1).cpu())
        return torch.cat(found)
