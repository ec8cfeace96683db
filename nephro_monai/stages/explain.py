"""Shows which pixels a slice's vote rests on."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.visualize import GradCAM
from torch import nn
from torch.nn import functional

from nephro_monai.constants import CLASS_NAMES

__all__ = ["ExplainSlicesd"]


class ExplainSlicesd(MapTransform):
    """Grad-CAM (Selvaraju 2017, by MONAI) of the class that each colored slice votes for.

    A map is the gradient of the class's logit at the features, averaged over the pixels to a weight per feature, times
    the features, summed, and cut off at 0: where the features speak for the vote. It shows where the network looked,
    not why, and that it looked at the tumor does not make it right. The features are those of the very pass that voted
    (`feature_layer` of `ClassifySlicesd`), so that only the tail of the network runs again.

    Reads `slice_features` and `slice_votes`. Adds to the case dictionary:
        slice_maps: float32 (S, 1, h, w) in 0..1 at the resolution of the features, one per slice, on the CPU; a map's
            largest value is 1, or all are 0 where nothing speaks for the vote or there is no vote.
    """

    def __init__(
        self,
        tail: nn.Module,
        keys: KeysCollection = "slice_features",
        votes_key: str = "slice_votes",
        output_key: str = "slice_maps",
        class_names: Sequence[str] = CLASS_NAMES,
        batch_size: int = 64,
    ) -> None:
        """Prepares a copy of the tail.

        Args:
            tail: What the network does with the features: (B, C, h, w) to logits (B, classes), such as the `head` of a
                `SliceClassifier`.
            keys: Where the features are: float32 (S, C, h, w) (one key).
            votes_key: Where the list of `SliceVote` is, one per slice in the same order.
            output_key: Where the maps go.
            class_names: Names of the outputs.
            batch_size: Slices per pass.

        Raises:
            ValueError: If more than one key is given or `batch_size` is below 1.
        """
        super().__init__(keys)
        if len(self.keys) != 1 or batch_size < 1:
            raise ValueError(f"ExplainSlicesd needs one key and batch_size >= 1, got {self.keys} and {batch_size}.")
        self.tail = nn.Sequential(nn.Identity(), copy.deepcopy(tail)).eval().requires_grad_(False).float().cpu()
        self.votes_key = votes_key
        self.output_key = output_key
        self.class_names = tuple(class_names)
        self.batch_size = batch_size

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns the case with the maps; no slices, no maps.

        Raises:
            ValueError: If there are no features, or not one per vote.
        """
        case = dict(data)
        if self.keys[0] not in case:
            raise ValueError(f"The case has no '{self.keys[0]}'; name a feature_layer in ClassifySlicesd.")
        features = torch.as_tensor(case[self.keys[0]])
        votes = [vote.vote for vote in case[self.votes_key]]
        if len(votes) != len(features):
            raise ValueError(f"{len(features)} slices in '{self.keys[0]}', {len(votes)} in '{self.votes_key}'.")
        # Hooks stay in what Grad-CAM looks into, and cannot be sent to another process: so a copy per case.
        with torch.inference_mode(mode=False):
            cam = GradCAM(copy.deepcopy(self.tail), "0", postprocessing=_scaled)
        maps = torch.zeros((len(features), 1, *features.shape[2:]))
        for index, name in enumerate(self.class_names):
            # A class at a time: MONAI adds up the scores of a batch over all classes that it is given.
            places = [place for place, vote in enumerate(votes) if vote == name]
            for start in range(0, len(places), self.batch_size):
                chosen = places[start : start + self.batch_size]
                maps[chosen] = _maps(cam, features[chosen], index)
        case[self.output_key] = maps
        return case


def _maps(cam: GradCAM, features: torch.Tensor, class_index: int) -> torch.Tensor:
    with torch.inference_mode(mode=False), torch.enable_grad():
        found: torch.Tensor = cam(features.clone().requires_grad_(), class_idx=class_index)
        return found.detach()


def _scaled(maps: torch.Tensor) -> torch.Tensor:
    """(B, 1, h, w) of at least 0, each divided by its largest value."""
    largest = functional.adaptive_max_pool2d(maps, 1)
    return torch.where(largest > 0, maps / largest.clamp_min(1e-12), torch.zeros_like(maps))
