"""The colorization module learns colors from tissue, in every formulation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from nephro_monai.networks.colorization_cic import ColorfulColorizer
from nephro_monai.networks.colorization_lrac import HypercolumnColorizer
from nephro_monai.networks.colorization_ltbc import LetThereBeColor
from nephro_monai.training.color_table import ColorTable
from nephro_monai.training.colorization import ColorizationModule
from nephro_monai.training.slice_augmentation import SliceAugmentation

GROUPS = {"bright": {"ab": [40, 40], "tissues": [1]}, "dark": {"ab": [40, -50], "tissues": [2]}}


def _module(network: Callable[[], torch.nn.Module]) -> ColorizationModule:
    torch.manual_seed(0)
    return ColorizationModule(
        network(),
        ColorTable(GROUPS),
        [0.5, 0.25, 0.25] + [0.0] * 253,
        SliceAugmentation(size=16, shift=1.0, rotation_degrees=5.0),
        network_size=32,
        learning_rate=1e-2,
    )


def _slices(bright_hu: float, count: int = 16) -> list[dict[str, torch.Tensor]]:
    """Air beside one of two tissues that differ in HU."""
    generator = torch.Generator().manual_seed(0)
    items = []
    for index in range(count):
        tissue = 1 + index % 2
        tissues = torch.zeros(1, 24, 24, dtype=torch.uint8)
        tissues[:, :, 12:] = tissue
        hu = torch.tensor([-1000.0, bright_hu, 20.0])[tissues.long()] + 5 * torch.randn(1, 24, 24, generator=generator)
        items.append({"image": hu.round().short(), "tissues": tissues})
    return items


NETWORKS = {
    "quantized": lambda: ColorfulColorizer(width=4, bins=60),
    "regressed": lambda: LetThereBeColor(width=4, classes=3, global_size=32),
    "hue_chroma": lambda: HypercolumnColorizer(width=4, bins=16, dropout=0.0),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_it_learns_and_validates(tmp_path, kind: str) -> None:
    module = _module(NETWORKS[kind])
    # Hue and chroma cannot say what sRGB cannot show: at 200 HU the bright color is out of its reach.
    slices = _slices(90.0 if kind == "hue_chroma" else 200.0)
    trainer = pl.Trainer(
        max_epochs=30, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, check_val_every_n_epoch=30, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(module, DataLoader(slices, batch_size=8, shuffle=True), DataLoader(slices, batch_size=8))
    logged = trainer.logged_metrics
    assert logged["val_color_accuracy"] > 0.8
    assert logged["val_ab_error"] < 22
    assert {"val_ab_error_bright", "val_accuracy_dark", "val_accuracy_unchanged"} <= set(logged)


def test_quantized_colors_and_objectives_are_no_part_of_the_checkpoint() -> None:
    module = _module(NETWORKS["quantized"])
    assert all(key.startswith("network.") for key in module.state_dict())
    trained = {id(p) for group in module.configure_optimizers().param_groups for p in group["params"]}
    assert id(module.network.model_out.weight) not in trained
    assert len(trained) == len(list(module.network.parameters())) - 1
