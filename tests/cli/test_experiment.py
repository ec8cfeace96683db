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


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> Path:
    """Eight small synthetic cases, half of them benign."""
    from nephro_monai.phantom import CohortConfig, generate_cohort

    folder = tmp_path_factory.mktemp("experiment") / "data"
    generate_cohort(folder, CohortConfig(cases=8, seed=5, small=True, kinds=("malignant", "benign")))
    return folder


def _run(app, table, cases, out, rows, *settings):
    options = [text for row in rows for text in ("--only", row)]
    options += [text for setting in ("epochs=1", *settings) for text in ("--set", setting)]
    done = CliRunner().invoke(
        app, [table, "--data", str(cases), "--out", str(out), "--small", "--device", "cpu", *options]
    )
    assert done.exit_code == 0, done.output
    return json.loads((out / f"{table}.json").read_text())


@pytest.mark.slow
def test_a_small_table_from_end_to_end(app, cases, tmp_path):
    """Trained, scored, written; done again from what was kept, with a score and a training missing."""
    arguments = ("zhou-2", cases, tmp_path, ["ROI: image-level model", "ROI: FC model"], "validation_interval=1")
    table = _run(app, *arguments)
    rows = {row["name"]: row for row in table["rows"]}
    assert {"ROI: image-level model", "ROI: FC model"} <= set(rows) and len(table["missing"]) == 7
    assert rows["ROI: FC model"]["figures"]["slice.auc"]["paper"] == "0.97 ± 0.02"
    assert rows["ROI: FC model"]["encoder"] == "random" and table["data"]["synthetic"] == 8
    assert "SYNTHETIC CT" in (tmp_path / "zhou-2.md").read_text()
    for path in [*tmp_path.glob("scores/*/records.json"), *tmp_path.glob("runs/fc_roi*/run.json")]:
        path.unlink()
    again = _run(app, *arguments)
    assert [row["figures"] for row in again["rows"]] == [row["figures"] for row in table["rows"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "rows", "figures", "settings"),
    [
        ("kamkova-1", ["Faster R-CNN with ResNet50"], {"recall", "precision", "recall_all"}, ["slices_per_epoch=8"]),
        ("dahiya", ["ENet, two stages"], {"kidney_dice", "tumor_dice"}, ["slices_per_epoch=8"]),
        ("scnet-1", ["SVM", "SCNet + 2-step loss"], {"vote.sensitivity", "vote.f1_benign"}, ["slices_per_epoch=8"]),
        ("colornephronet-4", ["DenseNet (with colorization, all slices)"], {"largest.f1", "vote.f1"}, []),
    ],
)  # fmt: skip
def test_every_kind_of_score(app, cases, tmp_path, table, rows, figures, settings):
    found = {row["name"]: row for row in _run(app, table, cases, tmp_path, rows, *settings)["rows"]}
    for name in rows:
        assert figures <= set(found[name]["figures"]), name
        values = [entry["value"] for entry in found[name]["figures"].values() if entry["value"] is not None]
        assert values and all(-1 <= value <= 1 for value in values)
