"""Settings of a cross-validation: who gets which, and whether a folder is of the same run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nephro_monai.data import FoldPlan
from nephro_monai.errors import BundleError, OutputError, TrainingDataError
from nephro_monai.evaluation.fold_settings import (
    FoldSettings,
    check_files,
    check_run,
    folds_were_given,
    kept_bundles,
    settings_by_bundle,
    write_run,
)
from nephro_monai.systems import find_system

VNET = "kidney_tumor_ct_segmentation_vnet"
SCNET = "kidney_tumor_ct_segmentation_scnet"
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


def test_a_configuration_that_no_trained_bundle_has_is_refused():
    with pytest.raises(BundleError, match=r"No trained bundle has the configuration fullsize.json"):
        settings_by_bundle(FoldSettings("faster_rcnn_vnet", configs=("fullsize.json",)))
    with pytest.raises(BundleError, match=r"the configuration lrac.json"):
        settings_by_bundle(FoldSettings("color_nephro_net", keep=("ct_colorization_cic",), configs=("lrac.json",)))


def test_trainings_and_the_cascade_take_the_same_number_of_phases():
    both = {"configs": ("two_phase.json",), "cascade_configs": ("scnet_two_phase.json",)}
    settings_by_bundle(FoldSettings("scnet", **both))
    for only in both:
        with pytest.raises(BundleError, match=r"trained on \d contrast phase\(s\), but the cascade reads \d.*together"):
            settings_by_bundle(FoldSettings("scnet", **{only: both[only]}))
    with pytest.raises(BundleError, match=r"on 2 contrast phase\(s\), but the cascade reads 1"):
        settings_by_bundle(FoldSettings("scnet", settings=("phases=2", f"{SCNET}:network_def#in_channels=2")))


def test_files_that_a_training_asks_for():
    cases = [{"case": f"case_{i:05d}", "image": "i", "label": "l"} for i in range(3)]
    cases[1]["tissues"] = "t"
    settings = FoldSettings("color_nephro_net")
    message = (
        r"ct_colorization_cic cannot .*: 2 of 3 cases lack tissues.nii.gz \(case_00000, case_00002\).*--keep ct_co"
    )
    with pytest.raises(TrainingDataError, match=message):
        check_files(settings, settings_by_bundle(settings), cases)
    kept = FoldSettings("color_nephro_net", keep=("ct_colorization_cic",))
    check_files(kept, settings_by_bundle(kept), cases)
    asked = FoldSettings(
        "color_nephro_net", settings=('ct_colorization_cic:cases#require=["imaging", "segmentation"]',)
    )
    check_files(asked, settings_by_bundle(asked), cases)


def test_settings_that_did_not_make_the_folds_are_not_recorded(tmp_path: Path):
    settings = FoldSettings("scnet", folds=2, seed=3, calibration_fraction=0.3)
    assert folds_were_given(tmp_path) is None
    write_run(tmp_path, settings, Path("data"), FoldPlan("", 7, "none", ()))
    written = json.loads((tmp_path / "cross_validation.json").read_text())["settings"]
    assert (written["seed"], written["stratify"], written["calibration_fraction"]) == (7, "none", None)
    assert folds_were_given(tmp_path) is True
    check_run(tmp_path, settings)
    check_run(tmp_path, FoldSettings("scnet", folds=2))
    with pytest.raises(OutputError, match=r"\(folds was 2, is 3\)"):
        check_run(tmp_path, FoldSettings("scnet", folds=3))
    write_run(tmp_path, settings, Path("data"))
    assert folds_were_given(tmp_path) is False
