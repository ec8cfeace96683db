"""`nephro phantom`: options that do not fit are refused in words, before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from nephro_monai.cli.main import app


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--kind", "foo"], "malignant, benign, none, random"),
        (["--small", "--shape", "10", "20", "20"], "exclude each other"),
        (["--phase", "venous"], "nephrographic"),
        (["--field-of-view", "head"], "kidneys"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, options: list[str], words: str) -> None:
    result = CliRunner().invoke(app, ["phantom", "--out", str(tmp_path / "scans"), "--cases", "1", *options])
    assert result.exit_code == 2
    assert words in " ".join(result.output.replace("│", " ").split())
    assert not (tmp_path / "scans").exists()
