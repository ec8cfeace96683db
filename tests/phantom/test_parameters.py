"""The generator's ranges: packaged, laid over, and the same draws as ever."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from nephro_monai.cli.main import app
from nephro_monai.errors import ParametersError
from nephro_monai.phantom import CTSynthesis, PhantomConfig, SynthesisSettings, Tissue, generate_case
from nephro_monai.phantom.contrast import draw_tissue_hu
from nephro_monai.phantom.parameters import PARAMETERS, packaged_parameters, read_parameters
from nephro_monai.phantom.tissues import PHASES
from nephro_monai.phantom.tumors import draw_look

SHAPE = (16, 48, 48)


def _write(folder: Path, content: Any) -> Path:
    path = folder / "my.json"
    path.write_text(json.dumps(content))
    return path


def test_packaged_ranges_are_those_that_were_measured() -> None:
    assert PARAMETERS.phase_shares == (0.10, 0.46, 0.32, 0.12)
    assert PARAMETERS.tissue_hu[Tissue.AORTA] == ((28, 52), (150, 460), (110, 200), (80, 150))
    assert PARAMETERS.tissue_hu[Tissue.VISCERAL_FAT] == ((-125, -75),) * len(PHASES)
    tumors = {tissue for tissue in Tissue if tissue.name.startswith("TUMOR")}
    assert set(PARAMETERS.tissue_hu) == set(Tissue) - tumors
    assert SynthesisSettings().acquisition.noise_hu == PARAMETERS.acquisition["noise_hu"] == (3, 38)
    assert PhantomConfig().special_share == PARAMETERS.cases["special_share"] == 0.18
    for name, shares in packaged_parameters().items():
        if name.endswith("_shares"):
            assert sum(shares.values()) == pytest.approx(1), name


def test_a_file_is_laid_over_key_by_key(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        {
            "tissue_hu": {"liver": [200, 210], "aorta": {"arterial": [300, 301]}},
            "looks": {"papillary": {"dark_share": 0.0}},
            "on_the_fly": {"acquisition": {"noise_hu": [5, 6]}},
        },
    )
    found = read_parameters(path)
    assert found.tissue_hu[Tissue.LIVER] == ((200, 210),) * len(PHASES)
    assert found.tissue_hu[Tissue.AORTA] == ((28, 52), (300, 301), (110, 200), (80, 150))
    assert found == read_parameters(found.overrides), "a file or its content"
    assert found.looks["papillary"].dark_share == 0 and found.looks["papillary"].dark_hu == (25, 75)
    settings = SynthesisSettings.from_parameters(found)
    assert settings.acquisition.noise_hu == (5, 6) and settings.masses == SynthesisSettings().masses
    assert pickle.loads(pickle.dumps(found)) == found  # workers get them


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"phases": {}}, "Unknown parameter 'phases'; allowed are phase_shares, tissue_hu"),
        ({"tissue_hu": {"brain": [0, 1]}}, "'brain' in tissue_hu; allowed are air"),
        ({"looks": {"papillary": {"fat": [0, 1]}}}, "'fat' in looks.papillary; allowed are arterial_of_kidney"),
        ({"phase_shares": {"none": 0.5}}, "phase_shares must sum to 1"),
        ({"acquisition": {"noise_hu": [9, 3]}}, r"acquisition.noise_hu must be a range \[low, high\]"),
        ({"acquisition": {"noise_hu": [0, 3]}}, "above 0"),
        ({"acquisition": {"gain": "much"}}, "acquisition.gain must be a number, such as 0.06, got 'much'"),
        ({"cases": {"benign_share": 1.2}}, "between 0 and 1"),
        ({"cases": 3}, "must be an object"),
        ([1], "must hold an object"),
    ],
)
def test_errors_name_what_is_allowed(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(ParametersError, match=message):
        read_parameters(_write(tmp_path, content))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ParametersError, match="Cannot read"):
        read_parameters(tmp_path / "absent.json")


def test_same_seed_draws_what_it_drew_before() -> None:
    """HU and looks are those of the time when the tables stood in Python; the case is of the tubes' present shape."""
    hu = draw_tissue_hu(np.random.default_rng(5), "arterial")
    expected = {
        "AORTA": 389.647249552,
        "LIVER": 73.856593141,
        "VISCERAL_FAT": -100.256882073,
        "KIDNEY_CORTEX": 202.640903412,
        "KIDNEY_MEDULLA": 78.750633323,
    }
    assert {name: hu[Tissue[name]] for name in expected} == pytest.approx(expected, rel=1e-6)
    signs = ("solid_hu", "coarse_hu", "fine_hu", "necrosis", "scar", "fat", "rim_hu", "calcified")
    for subtype, sums in {
        "clear_cell_rcc": [154723.223612, 28581.722891, 11530.518784, 380.291491, 0.0, 0.0, 9010.516281, 128.0],
        "papillary": [104377.147322, 5298.909208, 4303.133382, 54.213087, 0.0, 0.0, 4128.149035, 100.0],
        "chromophobe": [120315.208765, 10015.334596, 5969.233388, 44.115718, 23.790105, 0.0, 0.0, 154.0],
        "oncocytoma": [177380.717292, 5412.477741, 3686.657605, 0.0, 780.4115, 0.0, 0.0, 0.0],
        "angiomyolipoma": [129584.191497, 11258.393997, 8786.173003, 0.0, 0.0, 567.974243, 0.0, 0.0],
    }.items():
        looks = [
            draw_look(np.random.default_rng(k), subtype, 150.0, phase, diameter)
            for k in range(200)
            for phase in ("none", "arterial", "excretory")
            for diameter in (15.0, 40.0)
        ]
        assert [sum(getattr(look, sign) for look in looks) for sign in signs] == pytest.approx(sums, rel=1e-6), subtype
    case = generate_case(PhantomConfig(shape=SHAPE, kind="malignant", phase="arterial"), 3)
    mean, spread, kidney, tumor = -236.37087673611111, 409.7520721322581, 1368, 80
    assert (case.image.mean(), case.image.std()) == pytest.approx((mean, spread), rel=1e-3)
    assert [(case.label == k).sum() for k in (1, 2)] == pytest.approx([kidney, tumor], rel=0.02)


def test_same_seed_draws_on_the_fly_what_it_drew_before() -> None:
    case = generate_case(PhantomConfig(shape=SHAPE, kind="malignant", phase="arterial"), 3)
    tissues = torch.from_numpy(np.ascontiguousarray(case.tissues.transpose(2, 1, 0)))[None, None]
    torch.manual_seed(5)
    made = CTSynthesis().draw(tissues.repeat(4, 1, 1, 1, 1))
    assert made.phases == ("none", "excretory", "none", "nephrographic")
    assert [look and look.subtype for look in made.looks] == [
        "angiomyolipoma", "oncocytoma", "oncocytoma", "angiomyolipoma",
    ]  # fmt: skip
    assert (made.hu.mean().item(), made.hu.std().item()) == pytest.approx((-229.480, 404.132), rel=1e-3)


def test_ranges_of_a_file_reach_the_case_and_its_record(tmp_path: Path) -> None:
    content = {"tissue_hu": {"liver": [400, 400.001]}, "cases": {"special_share": 0.0}}
    config = PhantomConfig.with_parameters(read_parameters(_write(tmp_path, content)), shape=SHAPE, kind="none")
    assert config.special_share == 0
    case = generate_case(config, 1, keep_ideal=True)
    assert case.ideal_hu is not None
    assert case.ideal_hu[case.tissues == Tissue.LIVER].mean() == pytest.approx(400, abs=6)
    assert case.record["phantom"]["parameters"] == content


def test_command_takes_a_file(tmp_path: Path) -> None:
    arguments = ["phantom", "--out", str(tmp_path / "scans"), "--cases", "1", "--shape", "16", "48", "48"]
    only_none = _write(tmp_path, {"phase_shares": {"none": 1, "arterial": 0, "nephrographic": 0, "excretory": 0}})
    result = CliRunner().invoke(app, [*arguments, "--parameters", str(only_none)])
    assert result.exit_code == 0, result.output
    (record,) = json.loads((tmp_path / "scans" / "kits.json").read_text())
    assert record["phantom"]["phase"] == "none"
