from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from nephro_monai.cli.main import app
from nephro_monai.engine import slice_statistics as engine


def test_arguments_reach_the_engine(monkeypatch):
    calls = []
    monkeypatch.setattr(engine, "write_slice_statistics", lambda *arguments: calls.append(arguments) or arguments[2])
    result = CliRunner().invoke(
        app,
        ["slice-statistics", "some_bundle", "--data", "scans", "--out", "s.pt", "--config", "full_size.json",
         "--set", "seed=3"],
    )  # fmt: skip
    assert result.exit_code == 0 and result.output == "Slice statistics: s.pt\n"
    assert calls == [("some_bundle", Path("scans"), Path("s.pt"), ["full_size.json"], {"seed": 3})]


def test_bundle_data_and_file_are_needed():
    assert CliRunner().invoke(app, ["slice-statistics", "some_bundle", "--data", "scans"]).exit_code == 2
