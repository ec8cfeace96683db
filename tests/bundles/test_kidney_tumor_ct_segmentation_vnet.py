from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow, verify_net_in_out

from nephro_monai.constants import SEGMENTATION_WINDOW_HU
from nephro_monai.engine.bundles import find_bundle, read_configs
from nephro_monai.networks.vnet import VNet
from nephro_monai.stages import SegmentSettings

BUNDLE = "kidney_tumor_ct_segmentation_vnet"
CONFIGS = find_bundle(BUNDLE) / "configs"


def config(name: str) -> dict:
    return json.loads((CONFIGS / f"{name}.json").read_text())


def workflow(kind: str, name: str, **overrides: object) -> ConfigWorkflow:
    return ConfigWorkflow(
        config_file=str(CONFIGS / f"{name}.json"),
        meta_file=str(CONFIGS / "metadata.json"),
        logging_file=False,
        workflow_type=kind,
        **overrides,
    )


def test_training_and_inference_agree_with_the_cascades_defaults():
    train, infer, defaults = config("train"), config("inference"), SegmentSettings()
    assert train["network_def"] == infer["network_def"]
    for one in (train, infer):
        assert tuple(one["window_hu"]) == SEGMENTATION_WINDOW_HU == defaults.window_hu
        assert tuple(one["spacing_mm"]) == defaults.spacing_mm
        assert tuple(one["patch_size"]) == defaults.roi_size


def test_training_has_the_properties_of_a_bundle(phantom_cohort, tmp_path):
    made = workflow(
        "train", "train", dataset_dir=str(phantom_cohort), output_dir=str(tmp_path), validation_fraction=0.3,
        progress=False, device="$torch.device('cpu')",
    )  # fmt: skip
    made.initialize()
    assert not made.check_properties()
    patch = made.train_dataset[0][0]
    assert patch["image"].shape == patch["label"].shape == (1, *config("train")["patch_context"])
    assert patch["image"].dtype == torch.int16 and not hasattr(patch["image"], "affine")
    read = read_configs(BUNDLE, ("train.json",), {"output_dir": str(tmp_path)})
    image, label = read.get_parsed_content("train#augmentation")(patch["image"][None], patch["label"][None])
    assert image.shape == label.shape == (1, 1, *config("train")["patch_size"])
    assert -1 <= image.min() < image.max() <= 1
    assert set(label.unique().tolist()) <= {0, 1, 2}


def test_patches_follow_the_ratios(phantom_cohort):
    overrides = {"dataset_dir": str(phantom_cohort), "validation_fraction": 0.0, "progress": False}
    parser = read_configs(BUNDLE, ("train.json",), overrides)
    dataset = parser.get_parsed_content("train#dataset")
    with_tumor = next(i for i, crop in enumerate(dataset.data) if (crop["label"] == 2).any())
    draws = [dataset[with_tumor + k * len(dataset)][0]["label"] for k in range(20)]
    assert sum(bool((label == 2).any()) for label in draws) >= 7, "two fifths are centered on tumor"
    assert sum(bool((label > 0).any()) for label in draws) >= 14


def test_inference_writes_on_the_native_grid(phantom_cohort, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(VNet(width=2, kernel_size=3).state_dict(), tmp_path / "tiny.pt")
    case = sorted(Path(phantom_cohort).glob("case_*"))[0]
    run = workflow(
        "infer", "inference", dataset_dir=str(case), output_dir=str(tmp_path / "out"), device_name="cpu",
        weights=str(tmp_path / "tiny.pt"), **{"network_def#width": 2},
    )  # fmt: skip
    run.initialize()
    assert not run.check_properties()
    run.run()
    (written,) = (tmp_path / "out").rglob("*_segmentation.nii.gz")
    scan, label_map = nib.load(case / "imaging.nii.gz"), nib.load(written)
    assert label_map.shape == scan.shape and label_map.get_data_dtype() == np.uint8
    np.testing.assert_allclose(label_map.affine, scan.affine, atol=1e-4)
    assert set(np.unique(np.asarray(label_map.dataobj))) <= {0, 1, 2}


def test_metadata_is_true_to_the_network(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    verify_net_in_out(
        net_id="network_def", meta_file=str(CONFIGS / "metadata.json"), config_file=str(CONFIGS / "inference.json"),
        device="cpu", n=1,
    )  # fmt: skip


def test_full_size_is_the_paper():
    for base in ("train.json", "inference.json"):
        parser = read_configs(BUNDLE, (base, "full_size.json"))
        network = parser["network_def"]
        assert network["width"] == 16
    loss = parser.get_parsed_content("loss")
    label = torch.zeros(1, 1, 8, 8, 8)
    label[:, :, :4], label[:, :, 6:] = 1, 2
    logits = torch.full((1, 3, 8, 8, 8), -50.0)
    logits[:, 0] = 0
    logits[:, 1, 2:4], logits[:, 2, 4:] = 50, 50
    # Kamkova's equation 6, 1 - 2|A.B| / (A + B), for kidney and for tumor.
    assert loss(logits, label).item() == pytest.approx(1 - (2 * 2 / (4 + 2) + 2 * 2 / (2 + 4)) / 2, abs=1e-4)


@pytest.mark.parametrize("file", ["LICENSE", "docs/README.md", "docs/data_license.txt", "configs/logging.conf"])
def test_papers_are_there(file):
    assert (CONFIGS.parent / file).stat().st_size > 100
