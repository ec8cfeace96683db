"""Both files of a case, whole or not at all."""

from __future__ import annotations

import pytest
from PIL import Image

from nephro_monai.constants import SYNTHETIC_NOTICE
from nephro_monai.errors import OutputError
from nephro_monai.reporting import SaveReportd


def test_both_files_are_written_and_the_case_passes_through(tmp_path, make_case, provenance):
    case = make_case()
    result = SaveReportd(tmp_path / "out", provenance)(case)
    folder = tmp_path / "out" / "case_00007"
    assert sorted(path.name for path in folder.iterdir()) == ["overview.png", "report.html"]
    assert Image.open(folder / "overview.png").format == "PNG"
    assert SYNTHETIC_NOTICE in (folder / "report.html").read_text(encoding="utf-8")
    assert result.keys() == case.keys()
    assert all(result[key] is case[key] for key in case)


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path, make_case):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="Cannot write"):
        SaveReportd(tmp_path / "out")(make_case())


def test_an_interrupted_write_leaves_nothing(tmp_path, make_case, monkeypatch):
    def fail(*_: object) -> str:
        raise RuntimeError("cut")

    monkeypatch.setattr("nephro_monai.reporting.save_report.render_report", fail)
    with pytest.raises(RuntimeError, match="cut"):
        SaveReportd(tmp_path)(make_case())
    assert [path.name for path in (tmp_path / "case_00007").iterdir()] == ["overview.png"]
