from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from nephro_monai.cli.cross_validate import cross_validate
from nephro_monai.cli.main import app as nephro
from nephro_monai.evaluation import cross_validation, cross_validation_table
from nephro_monai.evaluation.cross_validation import CrossValidationRun
from nephro_monai.evaluation.cross_validation_table import CrossValidationResult
from nephro_monai.evaluation.fold_settings import FoldSettings


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(cross_validate)
    return app


@pytest.mark.parametrize(("failed", "code"), [(0, 0), (1, 1)])
def test_arguments_reach_the_evaluation(app, monkeypatch, failed, code):
    calls = []
    together = {"cases": {"done": 3, "missing": 0, "failed": failed}}

    def run(settings, where, report):
        calls.append((settings, where))
        report("fold 0: trains")
        return CrossValidationResult("scnet", "", (), together)

    monkeypatch.setattr(cross_validation, "cross_validate", run)
    monkeypatch.setattr(cross_validation_table, "print_result", lambda result, console: None)
    result = CliRunner().invoke(
        app,
        ["scnet", "--data", "scans", "--out", "cv", "--folds", "3", "--stratify", "none", "--seed", "4",
         "--calibration", "0.25", "--sensitivity", "0.9", "--keep", "borrowed", "--device", "cuda", "--devices", "2",
         "--config", "full_size.json", "--cascade-config", "own.json", "--set", "epochs=3", "--no-progress",
         "--folds-file", "folds.json"],
    )  # fmt: skip
    assert result.exit_code == code, result.output
    assert "fold 0: trains" in result.output and "Results: cv" in result.output
    assert calls == [
        (
            FoldSettings(
                "scnet", 3, "none", 4, 0.25, 0.9, ("borrowed",), ("full_size.json",), ("own.json",), ("epochs=3",)
            ),
            CrossValidationRun(Path("scans"), Path("cv"), Path("folds.json"), "cuda", 2, False),
        )
    ]


def test_out_of_range_and_missing(app):
    assert CliRunner().invoke(app, ["scnet", "--out", "cv"]).exit_code == 2
    for bad in (["--folds", "1"], ["--stratify", "age"], ["--calibration", "0.8"], ["--sensitivity", "0.2"]):
        assert CliRunner().invoke(app, ["scnet", "--data", "d", "--out", "cv", *bad]).exit_code == 2


def test_folds_bring_their_own_system(tmp_path):
    result = CliRunner().invoke(nephro, ["predict", "scan", "--out", "o", "--folds", "cv", "--system", "scnet"])
    assert result.exit_code == 2 and "leave --system out" in result.output
