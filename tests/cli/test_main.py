"""`nephro` itself: an error is one line, a traceback is there for who asks."""

from __future__ import annotations

import sys

import pytest

from nephro_monai.cli import main as command
from nephro_monai.errors import TrainingDataError


def _run(monkeypatch: pytest.MonkeyPatch, error: BaseException, *arguments: str) -> None:
    def app() -> None:
        raise error

    monkeypatch.setattr(command, "app", app)
    monkeypatch.setattr(sys, "argv", ["nephro", *arguments])
    command.main()


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (TrainingDataError("No cases.\nGive some."), 2, "nephro: No cases. Give some."),
        (ValueError("abc is no number."), 2, "nephro: abc is no number."),
        (OSError(20, "Not a directory", "notes.txt/x"), 2, "nephro: Not a directory: notes.txt/x"),
        (
            KeyError("surprise"),
            1,
            "nephro: Unexpected KeyError: 'surprise'. `nephro --debug ...` prints the traceback.",
        ),
    ],
)
def test_errors_are_one_line(monkeypatch, capsys, error, code, line):
    with pytest.raises(SystemExit) as stopped:
        _run(monkeypatch, error)
    assert (stopped.value.code, capsys.readouterr().err.strip()) == (code, line)


def test_debug_lets_the_traceback_through(monkeypatch):
    with pytest.raises(KeyError):
        _run(monkeypatch, KeyError("surprise"), "--debug", "train")
