"""Other weights for the bundles that a configuration loads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from nephro_monai.engine.bundle_weights import (
    BundleWeights,
    check_configs,
    existing_configs,
    network_overrides,
    weight_overrides,
)
from nephro_monai.engine.bundles import instantiate, read_configs
from nephro_monai.engine.cascade import cascade_parser
from nephro_monai.errors import BundleError
from nephro_monai.systems import SYSTEMS

VNET = "kidney_tumor_ct_segmentation_vnet"
DENSENET = "renal_tumor_ct_classification_densenet"
COLORIZER = "ct_colorization_cic"


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
def test_every_bundle_of_every_system_can_be_given_weights(system, tmp_path):
    parser = cascade_parser(configs=[system.configuration])
    weights = {name: BundleWeights(tmp_path / name / "model.pt") for name in system.bundles}
    changed = weight_overrides(parser, weights)
    assert sorted(entry["bundle"] for entry in changed.values()) == sorted(system.bundles)
    assert all(entry["weights"] == str(tmp_path / entry["bundle"] / "model.pt") for entry in changed.values())
    again = cascade_parser(configs=[system.configuration], overrides=changed)
    assert {key: again[key] for key in changed} == changed


def test_only_listed_bundles_change(tmp_path):
    parser = cascade_parser()
    changed = weight_overrides(parser, {VNET: BundleWeights(tmp_path / "w.pt", ("full_size.json",), {"a": 1})})
    assert list(changed) == ["segmenter"]
    entry = changed["segmenter"]
    assert entry["configs"] == ["inference.json", "full_size.json"]
    assert entry["overrides"] == {"a": 1} and entry["device"] == "@device"
    twins = cascade_parser(overrides={"coarse_segmenter#configs": None})
    assert list(weight_overrides(twins, {VNET: BundleWeights(tmp_path / "w.pt")})) == ["segmenter"], "other weights"


def test_a_training_takes_the_networks_it_builds_on(tmp_path):
    """The classifier's colorizer is loaded through references, the patient model's image network by an id."""
    changed = weight_overrides(read_configs(DENSENET, ("train.json",)), {COLORIZER: BundleWeights(tmp_path / "c.pt")})
    assert changed["colorizer#network"]["weights"] == str(tmp_path / "c.pt")
    assert changed["colorizer#network"]["configs"] == ["inference.json"]
    image = "renal_tumor_ct_classification_inception"
    parser = read_configs("renal_tumor_ct_patient_classification", ("train.json",))
    assert weight_overrides(parser, {image: BundleWeights(tmp_path / "i.pt")})["image_network"]["weights"]


def test_the_network_is_loaded_with_them(tiny_bundle: Path, tmp_path):
    config = {
        "bundle": str(tiny_bundle),
        "network": {"_target_": "nephro_monai.engine.load_bundle_network", "bundle": "@bundle"},
    }
    (tiny_bundle / "configs" / "user.json").write_text(json.dumps(config))
    torch.manual_seed(1)
    other = torch.nn.Linear(3, 4)
    torch.save(other.state_dict(), tmp_path / "other.pt")
    parser = read_configs(tiny_bundle, ("user.json",))
    chosen = BundleWeights(tmp_path / "other.pt", overrides={"outputs": 4})
    changed = weight_overrides(parser, {tiny_bundle.name: chosen})
    network = instantiate(read_configs(tiny_bundle, ("user.json",), changed), "network")
    assert torch.equal(network.weight, other.weight) and network.provenance.shipped is False


def test_only_what_changes_the_network_reaches_inference():
    overrides = {"epochs": 1, "network_def#width": 2, "network_def#no_such": 3, "patch_size": [8, 8, 8]}
    assert network_overrides(VNET, (), overrides) == {"network_def#width": 2}


def test_bundles_without_a_configuration_go_without(tmp_path):
    own = tmp_path / "own.json"
    own.write_text("{}")
    assert existing_configs(DENSENET, ("full_size.json", "folds.json", str(own))) == (
        "full_size.json", "folds.json", str(own),
    )  # fmt: skip
    assert existing_configs(VNET, ("full_size.json", "folds.json")) == ("full_size.json",)


def test_ids_that_the_network_refers_to_reach_inference():
    overrides = {
        "window_hu": [-100.0, 300.0], "slice_size": 64, "pixel_spacing_mm": 3.0, "slices_per_epoch": 4,
        "network_def#width": 0.5,
    }  # fmt: skip
    first = network_overrides("kidney_ct_segmentation_enet", (), overrides)
    assert first == {key: value for key, value in overrides.items() if key != "slices_per_epoch"}
    second = network_overrides(
        "kidney_tumor_ct_segmentation_enet", (), {**overrides, "crop_size": 32, "window_hu#0": 1}
    )
    assert set(second) == {*first, "window_hu#0", "crop_size"}
    parser = read_configs("kidney_ct_segmentation_enet", ("inference.json",), first)
    assert instantiate(parser, "network_def#window_hu") == [-100.0, 300.0]


def test_configurations_that_no_bundle_has(tmp_path):
    check_configs((VNET, DENSENET), ("folds.json", "full_size.json"))
    with pytest.raises(BundleError, match=r"the configuration fullsize.json\..*full_size.json"):
        check_configs((VNET, DENSENET), ("full_size.json", "fullsize.json"))
    with pytest.raises(BundleError, match=r"the configuration folds\.json"):
        check_configs((VNET,), ("folds.json",))
