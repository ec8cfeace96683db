"""The colorization module learns colors from tissue."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch.nn import functional
from torch.utils.data import DataLoader

from nephro_monai.networks.colorization_cic import ColorfulColorizer
from nephro_monai.training.color_table import ColorTable
from nephro_monai.training.colorization import ColorizationModule
from nephro_monai.training.slice_augmentation import SliceAugmentation

GROUPS = {"bright": {"ab": [40, 40], "tissues": [1]}, "dark": {"ab": [40, -50], "tissues": [2]}}


def _module(width: int = 4) -> ColorizationModule:
    torch.manual_seed(0)
    return ColorizationModule(
        ColorfulColorizer(width=width, bins=60),
        ColorTable(GROUPS),
        [0.5, 0.25, 0.25] + [0.0] * 253,
        SliceAugmentation(size=16, shift=1.0, rotation_degrees=5.0),
        network_size=32,
        learning_rate=1e-2,
    )


def _slices(count: int = 16) -> list[dict[str, torch.Tensor]]:
    """Air beside one of two tissues that differ in HU."""
    generator = torch.Generator().manual_seed(0)
    items = []
    for index in range(count):
        tissue = 1 + index % 2
        tissues = torch.zeros(1, 24, 24, dtype=torch.uint8)
        tissues[:, :, 12:] = tissue
        hu = torch.tensor([-1000.0, 200.0, 20.0])[tissues.long()] + 5 * torch.randn(1, 24, 24, generator=generator)
        items.append({"image": hu.round().short(), "tissues": tissues})
    return items


def test_the_loss_is_zhangs_cross_entropy() -> None:
    module = _module()
    logits = torch.randn(2, 60, 4, 4)
    shares = functional.one_hot(torch.randint(0, 3, (2, 4, 4)), 3).permute(0, 3, 1, 2).float()
    target = torch.einsum("bghw,gq->bqhw", shares, module.encoding)
    weight = torch.einsum("bghw,g->bhw", shares, module.group_weights)
    per_pixel = functional.cross_entropy(logits, target, reduction="none")
    torch.testing.assert_close(module.loss(logits, shares), (per_pixel * weight).mean())


def test_it_learns_and_validates(tmp_path) -> None:
    module = _module()
    before = module.network.model_out.weight.clone()
    loader = DataLoader(_slices(), batch_size=8, shuffle=True)
    trainer = pl.Trainer(
        max_epochs=25, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, check_val_every_n_epoch=25, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(module, loader, DataLoader(_slices(), batch_size=8))
    logged = trainer.logged_metrics
    assert logged["val_color_accuracy"] > 0.8
    assert logged["val_ab_error"] < 20
    assert {"val_ab_error_bright", "val_accuracy_dark", "val_accuracy_unchanged"} <= set(logged)
    assert torch.equal(module.network.model_out.weight, before)  # the quantized colors are not trained
