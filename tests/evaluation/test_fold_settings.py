"""Settings of a cross-validation: who gets which, and whether a folder is of the same run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nephro_monai.errors import BundleError, OutputError
from nephro_monai.evaluation.fold_settings import FoldSettings, check_run, kept_bundles, settings_by_bundle, write_run
from nephro_monai.systems import find_system

VNET = "kidney_tumor_ct_segmentation_vnet"
DETECTOR = "kidney_ct_detection_faster_rcnn"


def test_settings_go_to_the_bundles_that_have_them():
    settings = FoldSettings(
        "faster_rcnn_vnet",
        settings=("epochs=2", "patches_per_epoch=8", f"{VNET}:network_def#width=1", "nephro_cascade:seed=3",
                  'network_def#norm="group"'),
    )  # fmt: skip
    assert settings_by_bundle(settings) == {
        DETECTOR: {"epochs": 2, "network_def#norm": "group"},
        VNET: {"epochs": 2, "patches_per_epoch": 8, "network_def#width": 1},
        "nephro_cascade": {"seed": 3},
    }


def test_a_value_may_hold_colons():
    value = 'network_def#encoder={"name": "densenet"}'
    settings = FoldSettings("color_nephro_net", keep=("borrowed", "ct_colorization_cic"), settings=(value,))
    (found,) = [own for own in settings_by_bundle(settings).values() if own]
    assert found == {"network_def#encoder": {"name": "densenet"}}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epoch=2", "no train.json of .* has the id 'epoch'"),
        (f"{VNET}:slices_per_epoch=2", f"{VNET} has no id 'slices_per_epoch'"),
        ("nephro_cascade:sed=1", "nephro_cascade has no id 'sed'"),
        ("ct_colorization_cic:epochs=1", "is for ct_colorization_cic, which is none of"),
        ("epochs", "is not a setting"),
    ],
)
def test_settings_that_fit_nowhere(setting, message):
    with pytest.raises(BundleError, match=message):
        settings_by_bundle(FoldSettings("faster_rcnn_vnet", settings=(setting,)))


def test_kept_bundles():
    system = find_system("color_nephro_net")
    assert kept_bundles(system, ()) == ()
    assert kept_bundles(system, ("ct_colorization_cic", "borrowed")) == (DETECTOR, VNET, "ct_colorization_cic")
    assert kept_bundles(find_system("enet_two_stage"), ("borrowed",)) == ()
    with pytest.raises(BundleError, match="nothing to cross-validate"):
        kept_bundles(system, system.bundles)


def test_the_same_run_goes_on_and_another_does_not(tmp_path: Path):
    settings = FoldSettings("scnet", keep=("borrowed",), settings=("epochs=1",), sensitivity=0.9)
    check_run(tmp_path, settings)
    write_run(tmp_path, settings, Path("/scans/data"))
    check_run(tmp_path, settings)
    content = json.loads((tmp_path / "cross_validation.json").read_text())
    assert content["settings"]["keep"] == ["borrowed"] and content["data"] == "data"
    with pytest.raises(OutputError, match=r"other settings \(sensitivity was 0.9, is None\)"):
        check_run(tmp_path, FoldSettings("scnet", keep=("borrowed",), settings=("epochs=1",)))
    (tmp_path / "cross_validation.json").write_text("[]")
    with pytest.raises(OutputError, match="is broken"):
        check_run(tmp_path, settings)
