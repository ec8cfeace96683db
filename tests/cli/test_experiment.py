"""Arguments reach the engine; a stopped small table goes on and ends the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from nephro_monai.cli.experiment import experiment
from nephro_monai.evaluation import experiment as engine
from nephro_monai.evaluation import experiment_table

RESULT = {"experiment": "dahiya", "rows": []}


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(experiment)
    return app


def test_arguments_reach_the_engine(app, monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(engine, "run_experiment", lambda *given: calls.append(given) or RESULT)
    monkeypatch.setattr(experiment_table, "write_experiment", lambda result, folder: calls.append((result, folder)))
    monkeypatch.setattr(experiment_table, "print_experiment", lambda result: None)
    result = CliRunner().invoke(
        app,
        ["dahiya", "--data", "scans", "--out", str(tmp_path), "--small", "--seeds", "3", "--only", "ENet, two stages",
         "--pretrained", "ImageNet", "--pretrained", "CIC=a=b.pt", "--set", "epochs=3", "--device", "cpu"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    plan, options, rows, _ = calls[0]
    assert plan.name == "dahiya" and plan.small and rows == ["ENet, two stages"]
    assert (options.data, options.out, options.seeds, options.device) == (Path("scans"), tmp_path, 3, "cpu")
    assert options.pretrained == {"ImageNet": None, "CIC": "a=b.pt"} and options.overrides == {"epochs": 3}
    assert calls[1] == (RESULT, tmp_path)


def test_without_a_table_they_are_listed(app):
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 0 and "colornephronet-2" in result.output and "zhou-freezing" in result.output
    assert CliRunner().invoke(app, ["dahiya"]).exit_code == 2  # --data is missing


@pytest.mark.slow
def test_a_small_table_from_end_to_end(app, tmp_path):
    """Trained, scored, written; done again from what was kept, with a score and a training missing."""
    from nephro_monai.phantom import CohortConfig, generate_cohort

    cohort = CohortConfig(cases=6, seed=5, small=True, kinds=("malignant", "benign"))
    generate_cohort(tmp_path / "data", cohort)
    arguments = [
        "zhou-2", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--small", "--device", "cpu",
        "--only", "ROI: image-level model", "--only", "ROI: FC model", "--set", "epochs=1",
        "--set", "validation_interval=1",
    ]  # fmt: skip
    first = CliRunner().invoke(app, arguments)
    assert first.exit_code == 0, first.output
    table = json.loads((tmp_path / "out" / "zhou-2.json").read_text())
    rows = {row["name"]: row for row in table["rows"]}
    assert {"ROI: image-level model", "ROI: FC model"} <= set(rows) and len(table["missing"]) == 7
    assert rows["ROI: FC model"]["figures"]["slice.auc"]["paper"] == "0.97 ± 0.02"
    assert rows["ROI: FC model"]["encoder"] == "random" and table["data"]["synthetic"] == 6
    assert "SYNTHETIC CT" in (tmp_path / "out" / "zhou-2.md").read_text()
    for path in [*tmp_path.glob("out/scores/*/records.json"), *tmp_path.glob("out/runs/fc_roi*/run.json")]:
        path.unlink()
    assert CliRunner().invoke(app, arguments).exit_code == 0
    again = json.loads((tmp_path / "out" / "zhou-2.json").read_text())
    assert [row["figures"] for row in again["rows"]] == [row["figures"] for row in table["rows"]]
