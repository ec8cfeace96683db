"""Training of the V-Net on CT that is made from tissue maps, a batch at a time."""

from __future__ import annotations

import csv

import pytest
import torch

from nephro_monai.data import CropSettings, cut_tissue_crops, list_training_cases, save_tissue_crops
from nephro_monai.engine.bundles import read_configs
from nephro_monai.engine.train import TrainOptions, train_bundle
from nephro_monai.phantom import SynthesisSettings

BUNDLE = "kidney_tumor_ct_segmentation_vnet"
TINY = {
    "network_def#width": 1, "patch_size": [32, 32, 16], "patch_context": [40, 40, 20], "crop_settings#margin_mm": 8.0,
    "validation_fraction": 0.4, "validation_interval": 2, "batch_size": 2, "patches_per_epoch": 4, "epochs": 2,
    "workers": 0, "precision": "32", "progress": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def anatomies(phantom_cohort, tmp_path_factory):
    """A folder with nothing but tissue_crops.npz."""
    folder = tmp_path_factory.mktemp("anatomies")
    cases = list_training_cases(phantom_cohort, require=("segmentation", "tissues"))
    settings = CropSettings(margin_mm=8.0, minimum_shape=(40, 40, 20))
    save_tissue_crops(folder / "tissue_crops.npz", cut_tissue_crops(cases, settings, progress=False), (2.0, 2.0, 3.0))
    return folder


def test_batches_are_made_of_tissues(anatomies):
    overrides = {**TINY, "dataset_dir": str(anatomies)}
    parser = read_configs(BUNDLE, ("train.json", "synthetic.json"), overrides)
    batch = next(iter(parser.get_parsed_content("train#dataloader")))
    assert batch["tissues"].shape == (2, 1, 40, 40, 20) and batch["tissues"].dtype == torch.uint8
    (callback,) = [h for h in parser.get_parsed_content("train#handlers") if type(h).__name__ == "SynthesizeBatches"]
    torch.manual_seed(0)
    callback.on_train_batch_start(None, None, batch, 0)
    assert batch["image"].shape == batch["label"].shape == (2, 1, 32, 32, 16)
    assert -1 <= batch["image"].min() < batch["image"].max() <= 1
    assert set(batch["label"].unique().tolist()) <= {0, 1, 2}
    first, again = (parser.get_parsed_content("validate#dataset")[0] for _ in range(2))
    assert torch.equal(first["image"], again["image"]) and first["image"].abs().max() <= 1


def test_the_numbers_are_the_documented_ones():
    parser = read_configs(BUNDLE, ("train.json", "synthetic.json"), {"synthesis_settings#masses#mass_share": 0.8})
    settings, defaults = parser.get_parsed_content("synthesis_settings"), SynthesisSettings()
    assert settings.masses.mass_share == 0.8 and settings.spacing_mm == defaults.spacing_mm
    for made, known in ((settings.masses, defaults.masses), (settings.acquisition, defaults.acquisition)):
        for name, value in vars(known).items():
            if name != "mass_share":
                given = getattr(made, name)
                assert (tuple(given) if isinstance(given, list) else given) == value, name


@pytest.mark.slow
def test_training_from_a_cache_of_anatomies(anatomies, tmp_path):
    options = TrainOptions(
        data=anatomies, out=tmp_path / "run", device="cpu", configs=("synthetic.json",), overrides=TINY
    )
    state = torch.load(train_bundle(BUNDLE, options), weights_only=True)
    assert all(value.isfinite().all() for value in state.values())
    rows = [row for file in (tmp_path / "run").glob("logs/*/metrics.csv") for row in csv.DictReader(file.open())]
    assert len([row for row in rows if row.get("train_loss_epoch")]) == 2
    assert [row for row in rows if row.get("val_dice_kidney")]
