"""Scripts beside the package."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nephro_monai.engine.bundles import read_configs
from nephro_monai.evaluation.experiment_plan import read_experiment
from nephro_monai.geometry.scan_statistics import ScanStatistics
from nephro_monai.io import LoadScand
from nephro_monai.networks.vnet import VNet
from nephro_monai.transforms import CheckTrainingRanged

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


def test_a_network_with_a_cyst_class_says_of_the_others_what_it_said_before():
    torch.manual_seed(0)
    old = VNet(out_channels=3, width=2, kernel_size=3).eval()
    new = VNet(out_channels=4, width=2, kernel_size=3).eval()
    new.load_state_dict(runpy.run_path(str(SCRIPTS / "add_cyst_class.py"))["with_cyst_class"](old.state_dict()))
    image = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        before, after = old(image), new(image)
    torch.testing.assert_close(after[:, :3], before, atol=0.25, rtol=0)
    assert (after.argmax(1) < 3).all(), "the new class starts behind the kidney"


def test_a_wider_network_starts_near_where_the_narrow_one_ended(tmp_path: Path):
    main = runpy.run_path(str(SCRIPTS / "widen_weights.py"))["main"]
    torch.manual_seed(0)
    narrow, wide = (VNet(out_channels=4, width=w, kernel_size=3, dropout=(0, 0, 0)).eval() for w in (2, 4))
    torch.save(narrow.state_dict(), tmp_path / "narrow.pt")
    assert main([str(tmp_path / "narrow.pt"), str(tmp_path / "wide.pt"), "4"]) == 0
    image = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        before, random = narrow(image), wide(image)
        wide.load_state_dict(torch.load(tmp_path / "wide.pt", weights_only=True))
        after = wide(image)
    assert 0 < (after - before).abs().mean() < 0.3 * (random - before).abs().mean()
    assert main(["one"]) == 2


def test_random_weights_fit_the_networks_that_ship_without(tmp_path: Path, capsys):
    main = runpy.run_path(str(SCRIPTS / "random_weights.py"))["main"]
    assert main(["enet_two_stage_full_size.json", str(tmp_path)]) == 0
    options = capsys.readouterr().out.split()
    assert options[:2] == ["--config", "enet_two_stage_full_size.json"]
    chosen = dict(option.split("=") for option in options[3::2])
    parser = read_configs("nephro_cascade", ("inference.json", options[1]), {**chosen, "device_name": "cpu"})
    for stage in ("localizer", "segmenter"):
        state = torch.load(tmp_path / f"{stage}.pt", weights_only=True)
        found = parser.get_parsed_content(stage).state_dict()
        assert state.keys() == found.keys() and all(torch.equal(state[name], found[name]) for name in state)
    with pytest.raises(ValueError, match="random ones are not needed"):
        main(["coarse_vnet.json", str(tmp_path)])


def test_the_training_range_is_what_most_scans_hold_rounded_outward():
    bounds_of = runpy.run_path(str(SCRIPTS / "measure_training_range.py"))["bounds_of"]
    body = {"gas_share": 0.021, "bone_share": 0.02, "cut_off_share": 0.0, "parts_share": 0.0, "metal_ml": 0.0}
    found = [
        ScanStatistics(0.1 * (k % 48) + 0.3, 0.61 + 0.001 * k, 351, 233, -1000, 41 + k % 90, **body) for k in range(300)
    ]
    found[7] = replace(found[7], slice_thickness_mm=20, darkest_hu=-3000, soft_tissue_hu=float("nan"))
    found[8] = replace(found[8], slice_thickness_mm=0.01, length_mm=2)
    bounds = bounds_of(found)
    assert bounds["slice_thickness_mm"] == [0.3, 5.0] and bounds["pixel_mm"] == [0.6, 0.95]
    assert (bounds["field_of_view_mm"], bounds["length_mm"]) == ([350, 355], [230, 240])
    assert (bounds["darkest_hu"], bounds["soft_tissue_hu"]) == ([-1000, -1000], [40, 130])
    assert (bounds["gas_share"], bounds["metal_ml"]) == ([0.02, 0.03], [0.0, 0.0])
    few = bounds_of(found[:20])
    assert few["slice_thickness_mm"] == [0.0, 20.0], "no outermost hundredth among so few"


def test_the_training_range_of_a_folder_fits_the_cascades_configuration(phantom_cohort, tmp_path, capsys):
    main = runpy.run_path(str(SCRIPTS / "measure_training_range.py"))["main"]
    assert main([str(phantom_cohort)]) == 0
    out = capsys.readouterr().out
    bounds = json.loads("{" + out[out.index('"training_range"') :] + "}")["training_range"]
    warn = CheckTrainingRanged(bounds)
    for path in sorted(phantom_cohort.glob("case_*/imaging.nii.gz")):
        assert warn(LoadScand()({"image": path}))["warnings"] == ()
    assert main([]) == main([str(tmp_path)]) == 2
    assert "KiTS19" in capsys.readouterr().err


def test_the_pictures_of_the_study_show_what_each_network_sees(phantom_cohort: Path):
    made = runpy.run_path(str(SCRIPTS / "draw_ingredients.py"))["training_patches"]
    trainings = read_experiment("synthetic-to-real").trainings
    seen = {name: made(trainings[name], str(phantom_cohort)) for name in ("masses", "cysts")}
    for name, (image, label) in seen.items():
        assert image.shape == label.shape == (6, 48, 48)
        assert image.min() >= -1 and image.max() <= 1 and (label == 1).any()
        assert label.max() <= (3 if name == "cysts" else 2)
    again, _ = made(trainings["masses"], str(phantom_cohort))
    assert (again == seen["masses"][0]).all()
