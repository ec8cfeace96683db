"""Sequences of slice features, one per patient, for the patient-level models (Zhou 2019)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from nephro_monai.networks.autocast import autocast
from nephro_monai.networks.patient_classifier import feature_sequence
from nephro_monai.stages.colorize import colorize_slices

__all__ = ["patient_sequences", "slice_features"]


@torch.inference_mode()
def slice_features(
    slices: Sequence[dict[str, Any]],
    network: nn.Module,
    colorizer: Callable[[torch.Tensor], torch.Tensor],
    size: int,
    batch_size: int = 32,
    progress: bool = True,
) -> torch.Tensor:
    """Features of tumor slices by the trained image-level model, as the cascade computes them.

    Args:
        slices: From `cut_tumor_slices`, cut to the size that the cascade cuts.
        network: Has `features`: (B, 3, size, size) to (B, ...), for example a `FoldVote` of `InceptionClassifier`.
            Runs where its weights are.
        colorizer: As in `colorize_slices`.
        size: Rows and columns of the colored slices.
        batch_size: Slices per pass.
        progress: Show a progress bar.

    Returns:
        float32 (S, ...) on the CPU.
    """
    device = next(network.parameters()).device
    network.eval()
    found = []
    for start in tqdm(range(0, len(slices), batch_size), "features of slices", disable=not progress):
        hu = torch.stack([item["image"].float() for item in slices[start : start + batch_size]]).to(device)
        colored = colorize_slices(hu, colorizer, size=size).contiguous(memory_format=torch.channels_last)
        with autocast(device):
            found.append(network.features(colored).float().cpu())  # type: ignore[operator]
    return torch.cat(found) if found else torch.empty(0)


def patient_sequences(slices: Sequence[dict[str, Any]], features: torch.Tensor) -> list[dict[str, Any]]:
    """Groups the slices by patient: the tumors of a patient after one another, each from inferior to superior.

    Batches of them need padding at the end: `monai.data.pad_list_data_collate` with `method="end"`.

    Args:
        slices: From `cut_tumor_slices` (in its order, patient by patient) and `with_folds`.
        features: (S, folds, F), one row per slice.

    Returns:
        One dictionary per patient: `features` (folds, F + 1, N) from `feature_sequence`, and `case`, `label`, `fold`
        and `meta` (the case's name under `filename_or_obj`) of the patient.

    Raises:
        ValueError: If slices and features differ in number, or the slices of a patient do not stand together.
    """
    if len(slices) != len(features):
        raise ValueError(f"One row of features per slice is needed, got {len(features)} for {len(slices)} slices.")
    sequences: list[dict[str, Any]] = []
    for case, group in groupby(range(len(slices)), key=lambda place: slices[place]["case"]):
        places = list(group)
        first = slices[places[0]]
        sequences.append({
            "features": feature_sequence(features[places]),
            "case": case,
            "label": first["label"],
            "fold": first.get("fold", -1),
            "meta": {"filename_or_obj": case},
        })  # fmt: skip
    if len({item["case"] for item in sequences}) < len(sequences):
        raise ValueError("The slices of a patient must stand together; give them in the order of cut_tumor_slices.")
    return sequences
