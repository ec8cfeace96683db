"""Tells benign from malignant from all tumor slices of a patient at once (Zhou 2019, patient-level models)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from nephro_monai.constants import CLASS_NAMES
from nephro_monai.networks.autocast import autocast
from nephro_monai.networks.fold_vote import FoldVote
from nephro_monai.networks.patient_classifier import feature_sequence
from nephro_monai.structures import ModelVote

__all__ = ["ClassifyPatientd"]


class ClassifyPatientd(MapTransform):
    """Runs the patient-level fold models over the features of a case's colored slices.

    The slices are one sequence: tumor after tumor (the largest first), each from inferior to superior, as
    `CropTumorSlicesd` cuts them. Each fold's model sees the features of its own fold's image-level model.

    Adds to the case dictionary:
        model_votes: list of `structures.ModelVote`, one per fold model; empty without slices.
    """

    def __init__(
        self,
        image_network: FoldVote,
        network: FoldVote,
        keys: KeysCollection = "colorized_slices",
        output_key: str = "model_votes",
        class_names: Sequence[str] = CLASS_NAMES,
        batch_size: int = 16,
        device: torch.device | str = "cpu",
    ) -> None:
        """Prepares the networks.

        Args:
            image_network: Image-level fold models, whose `features` turn RGB slices (B, 3, H, W) in 0..1 into
                (B, folds, features).
            network: As many patient-level fold models, each with an input of its own.
            keys: Where the colored slices are.
            output_key: Where the votes go.
            class_names: Names of the network's outputs.
            batch_size: Slices per pass.
            device: Where the networks run.

        Raises:
            ValueError: If more than one key is given, `batch_size` is below 1, or the networks do not fit each other.
        """
        super().__init__(keys)
        if len(self.keys) != 1 or batch_size < 1:
            raise ValueError(f"ClassifyPatientd needs one key and batch_size >= 1, got {self.keys} and {batch_size}.")
        if not network.own_inputs or len(image_network.networks) != len(network.networks):
            raise ValueError(
                f"{len(image_network.networks)} image-level models need as many patient-level models with own_inputs; "
                f"got {len(network.networks)} with own_inputs={network.own_inputs}."
            )
        self.device = torch.device(device)
        self.image_network = image_network.eval().to(self.device)
        self.network = network.eval().to(self.device)
        self.output_key = output_key
        self.class_names = tuple(class_names)
        self.batch_size = batch_size

    @torch.inference_mode()
    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns the case with the models' votes."""
        case = dict(data)
        slices = torch.as_tensor(case[self.keys[0]])
        case[self.output_key] = self._votes(slices) if len(slices) else []
        return case

    def _votes(self, slices: torch.Tensor) -> list[ModelVote]:
        features = []
        for batch in slices.split(self.batch_size):
            batch = batch.to(self.device).contiguous(memory_format=torch.channels_last)
            with autocast(self.device):
                features.append(self.image_network.features(batch).float())
        logits = self.network.fold_logits(feature_sequence(torch.cat(features))[None])
        probabilities = torch.softmax(logits.float(), dim=2)[:, 0, 1].tolist()
        return [
            ModelVote(f"fold {index}", probability, self.class_names[int(probability >= 0.5)])
            for index, probability in enumerate(probabilities, start=1)
        ]
