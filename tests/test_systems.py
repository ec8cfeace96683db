"""The registry of the papers' systems."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from nephro_monai.errors import BundleError
from nephro_monai.systems import BASELINES, SYSTEMS, find_configurations, find_system

FIVE = ["faster_rcnn_vnet", "enet_two_stage", "scnet", "color_nephro_net", "inception_radiomics"]


def test_the_five_papers_are_listed():
    assert list(SYSTEMS) == FIVE
    for name, system in SYSTEMS.items():
        assert system.name == name
        assert system.reported
        assert set(system.tasks) <= {"detection", "segmentation", "classification"}
        assert set(system.borrows) <= set(system.bundles)


def test_baselines_are_laid_over_the_system_they_are_compared_with():
    assert not set(BASELINES) & set(SYSTEMS)
    for name, baseline in BASELINES.items():
        assert baseline.name == name
        assert find_configurations(name) == (f"{baseline.system}.json", f"baseline_{name}.json")
    assert find_configurations("scnet") == ("scnet.json",)


@pytest.mark.parametrize("find", [find_system, find_configurations])
def test_unknown_system_names_the_known_ones(find):
    with pytest.raises(BundleError, match="scnet"):
        find("resnet")


def test_needs_no_torch():
    code = "import sys, nephro_monai.systems, nephro_monai.cli.systems; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_command_prints_every_bundle():
    from typer.testing import CliRunner

    from nephro_monai.cli.main import app

    text = CliRunner().invoke(app, ["systems"]).stdout
    listed = json.loads(CliRunner().invoke(app, ["systems", "--json"]).stdout)
    assert [entry["name"] for entry in listed] == FIVE
    for system in SYSTEMS.values():
        assert all(name in text for name in (system.name, *system.bundles))
    assert all(f"baseline  {name}" in text for name in BASELINES)
    assert [b["name"] for entry in listed for b in entry["baselines"]] == list(BASELINES)
