from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import pytest
import torch

from nephro_monai.engine.train import TrainOptions, train_bundle
from nephro_monai.engine.weights import load_weights
from nephro_monai.errors import BundleError, NephroError, OutputError, TrainingDataError, WeightsError

BUNDLE = "kidney_tumor_ct_segmentation_vnet"
TINY = {
    "network_def#width": 1,
    "patch_size": [32, 32, 16],
    "patch_context": [40, 40, 20],
    "crop_settings#margin_mm": 10.0,
    "validation_fraction": 0.3,
    "validation_interval": 2,
    "batch_size": 2,
    "patches_per_epoch": 4,
    "epochs": 2,
    "workers": 0,
    "precision": "32",
    "progress": False,
}


class KilledError(RuntimeError):
    """Stands for a killed process."""


def options(data: Path, out: Path, device: str = "cpu", **settings: object) -> TrainOptions:
    overrides = {**TINY, **settings.pop("overrides", {})}
    return TrainOptions(data=data, out=out, device=device, overrides=overrides, **settings)


def logged(out: Path, column: str) -> list[float]:
    rows = [row for file in sorted(out.glob("logs/*/metrics.csv")) for row in csv.DictReader(file.open())]
    return [float(row[column]) for row in rows if row.get(column)]


def test_fit_writes_weights_checkpoint_and_log(phantom_cohort, tmp_path):
    weights = train_bundle(BUNDLE, options(phantom_cohort, tmp_path / "run"))
    assert weights == tmp_path / "run" / "model.pt"
    state = torch.load(weights, weights_only=True)
    assert state["in_tr.conv_block.conv.weight"].shape == (1, 1, 3, 3, 3)
    assert all(value.isfinite().all() for value in state.values())
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
    assert len(logged(tmp_path / "run", "train_loss_epoch")) == 2
    assert 0 <= logged(tmp_path / "run", "val_dice_kidney")[0] <= 1


def test_stopped_and_resumed_ends_where_unbroken_ends(phantom_cohort, tmp_path, monkeypatch):
    from nephro_monai.training.segmentation import SegmentationModule

    whole = train_bundle(BUNDLE, options(phantom_cohort, tmp_path / "whole"))
    step = SegmentationModule.training_step

    def step_until_killed(self: SegmentationModule, batch: object, batch_idx: int) -> torch.Tensor:
        if (self.current_epoch, batch_idx) == (1, 1):
            raise KilledError
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(SegmentationModule, "training_step", step_until_killed)
        with pytest.raises(RuntimeError):
            train_bundle(BUNDLE, options(phantom_cohort, tmp_path / "parts"))
    halfway = torch.load(tmp_path / "parts" / "model.pt", weights_only=True)
    resumed = train_bundle(BUNDLE, options(phantom_cohort, tmp_path / "parts", resume=True))

    expected, found = (torch.load(path, weights_only=True) for path in (whole, resumed))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-6)
    assert any(not torch.equal(halfway[name], value) for name, value in expected.items())


def test_training_can_start_from_weights(phantom_cohort, tmp_path):
    from nephro_monai.networks.vnet import VNet

    start = VNet(width=1, kernel_size=3).state_dict()
    torch.save(start, tmp_path / "start.pt")
    overrides = {"initial_weights": str(tmp_path / "start.pt"), "learning_rate": 0.0, "epochs": 1}
    end = torch.load(
        train_bundle(BUNDLE, options(phantom_cohort, tmp_path / "run", overrides=overrides)), weights_only=True
    )
    assert all(torch.equal(end[name], value) for name, value in start.items() if "running" not in name and value.ndim)


def test_init_names_the_shipped_weights_or_a_file(tmp_path):
    from nephro_monai.engine.bundles import find_bundle, read_configs
    from nephro_monai.engine.train import _settings

    root = find_bundle(BUNDLE)
    shipped = _settings(root, tmp_path, options(tmp_path, tmp_path, init="shipped"))["initial_weights"]
    assert shipped == str(root / "models" / "model.pt")
    network = read_configs(root, ("train.json",), {"device": "$torch.device('cpu')"}).get_parsed_content("network_def")
    load_weights(network, Path(shipped))  # strictly: the training's network is the shipped one
    state = torch.load(shipped, weights_only=True)
    torch.testing.assert_close(
        network.state_dict(), {name: v.float() if v.is_floating_point() else v for name, v in state.items()}
    )
    torch.save(state, tmp_path / "own.pt")
    own = _settings(root, tmp_path, options(tmp_path, tmp_path, init=str(tmp_path / "own.pt")))["initial_weights"]
    assert own == str(tmp_path / "own.pt")
    assert "initial_weights" not in _settings(root, tmp_path, options(tmp_path, tmp_path))


def test_init_from_a_bundle_without_weights(tiny_bundle, tmp_path):
    (tiny_bundle / "configs" / "train.json").write_text(json.dumps({"initial_weights": None, "epochs": 1}))
    (tiny_bundle / "models" / "model.pt").write_bytes(b"altered")
    order = TrainOptions(data=tmp_path, out=tmp_path / "run", device="cpu", init="shipped")
    with pytest.raises(WeightsError, match="was altered"):
        train_bundle(tiny_bundle, order)
    (tiny_bundle / "models" / "model.pt").unlink()
    with pytest.raises(WeightsError, match="ships no weights"):
        train_bundle(tiny_bundle, order)
    (tiny_bundle / "configs" / "train.json").write_text(json.dumps({"epochs": 1}))
    with pytest.raises(BundleError, match="no id initial_weights"):
        train_bundle(tiny_bundle, order)


def test_finished_runs_are_not_overwritten_unasked(tmp_path):
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    last.touch()
    with pytest.raises(OutputError, match=r"--resume .* --overwrite"):
        train_bundle(BUNDLE, options(tmp_path, tmp_path / "run"))


def test_wandb_offline_run(phantom_cohort, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    train_bundle(BUNDLE, options(phantom_cohort, tmp_path / "run", wandb=True, overrides={"epochs": 1}))
    import wandb

    wandb.finish()
    (run,) = (tmp_path / "run" / "wandb").glob("offline-run-*")
    (record,) = run.glob("run-*.wandb")
    deadline = time.monotonic() + 60
    while b"train_loss" not in record.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.2)  # its own process writes the file
    content = record.read_bytes()
    assert b"train_loss" in content and BUNDLE.encode() in content
    assert logged(tmp_path / "run", "train_loss_epoch"), "the CSV log is written too"


@pytest.mark.parametrize(
    ("bundle", "settings", "error", "message"),
    [
        ("no_such_bundle", {}, BundleError, BUNDLE),
        ("nephro_cascade", {}, BundleError, "no configs/train.json"),
        (BUNDLE, {"overrides": {"epoch": 3}}, BundleError, "no id 'epoch' to set.*epochs"),
        (BUNDLE, {"configs": ("half_size.json",)}, BundleError, "full_size.json"),
        (BUNDLE, {"resume": True}, OutputError, "Nothing to resume"),
        (BUNDLE, {"precision": "16"}, BundleError, "32, bf16-mixed"),
        (BUNDLE, {"devices": 0}, BundleError, "at least 1"),
        (BUNDLE, {}, TrainingDataError, "holds no training case"),
        (BUNDLE, {"init": "absent.pt"}, WeightsError, "absent.pt is no file"),
        (BUNDLE, {"init": "shipped", "overrides": {"initial_weights": "a.pt"}}, BundleError, "twice"),
    ],
)
def test_errors_say_what_to_do(tmp_path, bundle, settings, error, message):
    with pytest.raises(error, match=message):
        train_bundle(bundle, options(tmp_path, tmp_path / "run", **settings))
    assert not (tmp_path / "run" / "model.pt").exists()


def test_missing_data_folder(tmp_path):
    with pytest.raises(TrainingDataError, match="is no folder"):
        train_bundle(BUNDLE, options(tmp_path / "absent", tmp_path / "run"))


def test_several_devices_and_full_size_are_only_settings(tmp_path):
    from nephro_monai.engine.bundles import find_bundle, read_configs
    from nephro_monai.engine.train import _settings

    chosen = _settings(tmp_path, tmp_path, options(tmp_path, tmp_path, devices=2))
    assert (chosen["train#trainer#devices"], chosen["train#trainer#strategy"]) == (2, "ddp")
    scnet = _settings(
        find_bundle("kidney_tumor_ct_segmentation_scnet"), tmp_path, options(tmp_path, tmp_path, devices=2)
    )
    assert scnet["train#trainer#strategy"] == "ddp_find_unused_parameters_true", "its baselines leave heads untrained"
    parser = read_configs(BUNDLE, ("train.json", "full_size.json"), {"device": "$torch.device('cpu')"})
    assert parser.get_parsed_content("network_def").in_tr.out_channels == 16
    assert type(parser.get_parsed_content("loss")).__name__ == "DiceLoss"


def test_no_wandb_no_traceback(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None if name == "wandb" else object())
    with pytest.raises(NephroError, match=r"nephro-monai\[wandb\]"):
        train_bundle(BUNDLE, options(tmp_path, tmp_path / "run", wandb=True))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_fit_on_cuda(phantom_cohort, tmp_path):
    weights = train_bundle(
        BUNDLE, options(phantom_cohort, tmp_path / "run", device="cuda", overrides={"precision": "bf16-mixed"})
    )
    state = torch.load(weights, weights_only=True)
    assert all(value.device.type == "cpu" and value.isfinite().all() for value in state.values())


def test_train_json_is_json_with_the_required_ids():
    from nephro_monai.engine.bundles import find_bundle

    config = json.loads((find_bundle(BUNDLE) / "configs" / "train.json").read_text())
    assert {"bundle_root", "device", "dataset_dir", "train", "run"} <= config.keys()
