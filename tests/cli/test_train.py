from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from nephro_monai.cli.train import train
from nephro_monai.engine import train as engine


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(train)
    return app


def test_arguments_reach_the_engine(app, monkeypatch):
    calls = []
    monkeypatch.setattr(engine, "train_bundle", lambda bundle, options: calls.append((bundle, options)) or Path("w.pt"))
    result = CliRunner().invoke(
        app,
        ["some_bundle", "--data", "scans", "--out", "run", "--device", "cpu", "--devices", "2", "--precision", "32",
         "--resume", "--wandb", "--config", "full_size.json", "--set", "epochs=3", "--set", "name=text"],
    )  # fmt: skip
    assert result.exit_code == 0 and result.output == "Weights: w.pt\n"
    assert calls == [
        (
            "some_bundle",
            engine.TrainOptions(
                data=Path("scans"), out=Path("run"), device="cpu", devices=2, precision="32", resume=True, wandb=True,
                configs=("full_size.json",), overrides={"epochs": 3, "name": "text"},
            ),
        )
    ]  # fmt: skip


def test_bundle_and_data_are_needed(app):
    assert CliRunner().invoke(app, []).exit_code == 2
    assert CliRunner().invoke(app, ["some_bundle"]).exit_code == 2
