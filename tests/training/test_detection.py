"""The detector's training: logged figures, optimizer, resume."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision.models import resnet50

from nephro_monai.errors import WeightsError
from nephro_monai.networks.faster_rcnn import KidneyFasterRCNN, RegionSettings
from nephro_monai.training.callbacks import CosineSchedule, ReproducibleSteps
from nephro_monai.training.detection import KidneyDetectionModule


class Squares(Dataset):
    """A bright square per slice; the last slice is empty."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int):
        image = torch.zeros(1, 64, 64)
        boxes = torch.zeros(0, 4)
        if index < 7:
            x, y = 5 + 4 * index, 30 - 3 * index
            image[0, y : y + 20, x : x + 20] = 1.0
            boxes = torch.tensor([[x, y, x + 20, y + 20]], dtype=torch.float32)
        return image, {"boxes": boxes, "labels": torch.ones(len(boxes), dtype=torch.int64)}


class EpochOrder(torch.utils.data.Sampler):
    def __init__(self) -> None:
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return 8

    def __iter__(self):
        return iter(torch.randperm(8, generator=torch.Generator().manual_seed(self.epoch)).tolist())


def collate(items):
    return torch.stack([image for image, _ in items]), [target for _, target in items]


def fit(folder, epochs: int, planned: int, resume=None):
    """Trains `epochs` of `planned` epochs; returns the module and the trainer."""
    torch.manual_seed(0)
    network = KidneyFasterRCNN(4, (16, 24), 8, regions=RegionSettings(8, 8, 4, 4))
    module = KidneyDetectionModule(network, learning_rate=2e-3)
    sampler = EpochOrder()
    loader = DataLoader(Squares(), 4, sampler=sampler, collate_fn=collate)
    schedule = CosineSchedule()
    trainer = pl.Trainer(
        max_epochs=planned,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        check_val_every_n_epoch=planned,
        default_root_dir=folder,
        callbacks=[schedule, ReproducibleSteps(sampler, 0), StopAfter(epochs)],
    )
    trainer.fit(module, loader, DataLoader(Squares(), 4, collate_fn=collate), ckpt_path=resume)
    return module, trainer


class StopAfter(pl.Callback):
    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        trainer.should_stop = trainer.current_epoch + 1 >= self.epochs


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return fit(tmp_path_factory.mktemp("unbroken"), 4, 4)


def test_logs_every_loss_and_recall_and_precision(trained):
    _, trainer = trained
    logged = trainer.callback_metrics
    losses = ["loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg"]
    total = sum(float(logged[f"train_{name}"]) for name in losses)
    assert float(logged["train_loss"]) == pytest.approx(total, rel=1e-5)
    assert 0.0 <= float(logged["val_recall"]) <= 1.0
    assert "val_precision" in logged


def test_resumed_training_ends_where_an_unbroken_one_ends(trained, tmp_path):
    unbroken, _ = trained
    _, trainer = fit(tmp_path, 2, 4)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    resumed, _ = fit(tmp_path, 4, 4, resume=tmp_path / "half.ckpt")
    for (name, expected), actual in zip(
        unbroken.network.state_dict().items(), resumed.network.state_dict().values(), strict=True
    ):
        assert torch.equal(expected, actual), name


def test_frozen_norms_are_not_trained():
    network = KidneyFasterRCNN(4, norm="frozen")
    assert not any("bn" in name for name, _ in network.named_parameters())


def test_starts_from_pretrained_weights(tmp_path):
    torch.manual_seed(1)
    state = resnet50(weights=None).state_dict()
    torch.save(state, tmp_path / "resnet50.pth")
    module = KidneyDetectionModule(KidneyFasterRCNN(), pretrained=str(tmp_path / "resnet50.pth"))
    assert torch.equal(module.network.backbone.conv1.weight, state["conv1.weight"])
    with pytest.raises(WeightsError):
        KidneyDetectionModule(KidneyFasterRCNN(4), pretrained=str(tmp_path / "resnet50.pth"))
