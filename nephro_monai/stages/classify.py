"""Tells benign from malignant, slice by slice."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch import nn

from nephro_monai.constants import CLASS_NAMES
from nephro_monai.networks.autocast import autocast

__all__ = ["ClassifySlicesd"]


class ClassifySlicesd(MapTransform):
    """Runs the slice classifier over the colored slices of a case.

    Adds to the case dictionary:
        slice_probabilities: float32 (S, classes), on the CPU.

    Changes:
        slice_votes: each `structures.SliceVote` gets its probabilities and its vote, the most probable class.
    """

    def __init__(
        self,
        network: nn.Module,
        keys: KeysCollection = "colorized_slices",
        output_key: str = "slice_probabilities",
        votes_key: str = "slice_votes",
        class_names: Sequence[str] = CLASS_NAMES,
        batch_size: int = 16,
        device: torch.device | str = "cpu",
    ) -> None:
        """Prepares the network.

        Args:
            network: RGB slices (B, 3, H, W) in 0..1 to logits (B, classes), for example `SliceClassifier`.
            keys: Where the colored slices are.
            output_key: Where the probabilities go.
            votes_key: Where the list of `SliceVote` is, one per slice in the same order.
            class_names: Names of the network's outputs.
            batch_size: Slices per pass.
            device: Where the network runs.

        Raises:
            ValueError: If more than one key is given or `batch_size` is below 1.
        """
        super().__init__(keys)
        if len(self.keys) != 1 or batch_size < 1:
            raise ValueError(f"ClassifySlicesd needs one key and batch_size >= 1, got {self.keys} and {batch_size}.")
        self.device = torch.device(device)
        self.network = network.eval().to(self.device).to(memory_format=torch.channels_last)
        self.output_key = output_key
        self.votes_key = votes_key
        self.class_names = tuple(class_names)
        self.batch_size = batch_size

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns the case with probabilities and votes; a case without slices keeps an empty tensor and no vote.

        Raises:
            ValueError: If slices and votes differ in number, or the network's outputs and the class names do.
        """
        case = dict(data)
        slices = torch.as_tensor(case[self.keys[0]])
        votes = list(case[self.votes_key])
        if len(votes) != len(slices):
            raise ValueError(
                f"{len(slices)} slices in '{self.keys[0]}' but {len(votes)} entries in '{self.votes_key}'; "
                "both must come from the same CropTumorSlicesd."
            )
        probabilities = self._probabilities(slices)
        case[self.output_key] = probabilities
        case[self.votes_key] = [
            replace(vote, probabilities=tuple(row), vote=self.class_names[max(range(len(row)), key=row.__getitem__)])
            for vote, row in zip(votes, probabilities.tolist(), strict=True)
        ]
        return case

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
