"""The detection bundle: contract, training and inference from its JSON."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ckpt_export, verify_net_in_out

from nephro_monai.engine.bundles import find_bundle, read_configs
from nephro_monai.engine.train import TrainOptions, train_bundle
from nephro_monai.structures import Box

NAME = "kidney_ct_detection_faster_rcnn"
TINY = {
    "network_def#width": 4,
    "network_def#regions#proposals": 8,
    "network_def#regions#training": 4,
    "grid#input_size": 128,
    "grid#pixel_spacing_mm": 3.2,
    "grid#slice_spacing_mm": 20.0,
    "network_def#anchor_sizes": [16, 32],
}


@pytest.fixture(scope="module")
def configs() -> Path:
    return find_bundle(NAME) / "configs"


@pytest.fixture(scope="module")
def tiny_data(tmp_path_factory) -> Path:
    """Three cases in KiTS19 layout (axes I-P-L)."""
    folder = tmp_path_factory.mktemp("kits") / "data"
    affine = np.array([[0, 0, -4.0, 0], [0, -4.0, 0, 0], [-10.0, 0, 0, 0], [0, 0, 0, 1]])
    for number in range(3):
        image = np.full((20, 96, 96), -1000.0, dtype=np.float32)
        image[:, 20:80, 12:86] = 30.0
        label = np.zeros(image.shape, np.uint8)
        for left, top in ((24, 50), (60, 48 + number)):
            label[5:14, top : top + 14, left : left + 13] = 1
        image[label > 0] = 200.0
        case = folder / f"case_{number:05d}"
        case.mkdir(parents=True)
        nib.save(nib.Nifti1Image(image, affine), case / "imaging.nii.gz")
        nib.save(nib.Nifti1Image(label, affine), case / "segmentation.nii.gz")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_data) -> Path:
    out = tmp_path_factory.mktemp("run")
    quick = {"epochs": 1, "slices_per_epoch": 8, "batch_size": 4, "validation_interval": 1, "progress": False}
    quick["train#trainer#log_every_n_steps"] = 1
    return train_bundle(
        NAME, TrainOptions(data=tiny_data, out=out, device="cpu", precision="32", overrides={**TINY, **quick})
    )


def test_network_gives_one_tensor_of_six_channels(configs):
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(configs / "metadata.json"),
        config_file=str(configs / "inference.json"),
        device="cpu",
        n=4,
    )


def test_training_writes_weights_checkpoint_and_logs(trained):
    state = torch.load(trained, weights_only=True)
    network = read_configs(NAME, overrides=TINY).get_parsed_content("network_def")
    network.load_state_dict(state)
    assert (trained.parent / "checkpoints" / "last.ckpt").is_file()
    header = next((trained.parent / "logs").glob("*/metrics.csv")).read_text().splitlines()[0]
    assert "val_recall" in header
    assert "train_loss_box_reg" in header


def test_inference_writes_boxes_of_every_case(trained, tiny_data, tmp_path):
    # The bundle's network is loaded from its own configurations, so a small one comes as an override file.
    override = tmp_path / "tiny.json"
    override.write_text(json.dumps(TINY))
    parser = read_configs(
        NAME,
        overrides={
            **TINY,
            "dataset_dir": str(tiny_data),
            "output_dir": str(tmp_path / "out"),
            "device_name": "cpu",
            "weights": str(trained),
            "configs": ["inference.json", str(override)],
        },
    )
    parser.get_parsed_content("run")
    written = sorted((tmp_path / "out").glob("*/kidneys.json"))
    assert len(written) == 3
    content = json.loads(written[0].read_text())
    assert all(Box(**kidney["voxels"]) for kidney in content["kidneys"])
    assert set(content["localization"]) == {"found", "fallback", "note", "detections"}


def test_exports_to_torchscript(trained, configs, tmp_path):
    override = tmp_path / "tiny.json"
    override.write_text(json.dumps(TINY))
    ckpt_export(
        net_id="network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(trained),
        meta_file=str(configs / "metadata.json"),
        config_file=[str(configs / "inference.json"), str(override)],
    )
    scripted = torch.jit.load(str(tmp_path / "model.ts"))
    network = read_configs(NAME, overrides=TINY).get_parsed_content("network_def").eval()
    network.load_state_dict(torch.load(trained, weights_only=True))
    images = torch.rand(1, 1, 128, 128)
    with torch.no_grad():
        assert torch.allclose(scripted(images), network(images), atol=1e-4)


def test_training_and_inference_describe_the_same_network(configs):
    train, inference = (json.loads((configs / f"{name}.json").read_text()) for name in ("train", "inference"))
    for key in ("network_def", "grid", "window_hu"):
        assert train[key] == inference[key]


@pytest.mark.parametrize("base", ["train.json", "inference.json"])
def test_full_size_is_the_paper(base):
    parser = read_configs(NAME, (base, "full_size.json"))
    network = parser.get_parsed_content("network_def")
    assert network.backbone.conv1.out_channels == 64
    assert network.rpn._post_nms_top_n["testing"] == 300
    assert (network.grid.input_size, network.grid.pixel_spacing_mm) == (512, 0.8)
