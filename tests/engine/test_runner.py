"""Running cases: failures, resume, manifest, order of results."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from monai.transforms import Compose

from nephro_monai.engine import manifest as manifest_of_run
from nephro_monai.engine.manifest import is_done
from nephro_monai.engine.runner import CaseRunner, RunOptions, one_line
from nephro_monai.errors import CasesFailedError, OutputError, ScanError
from nephro_monai.io import atomic_path
from nephro_monai.structures import Case


class Read:
    """Reads a text file as if it were a scan."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(data["case"])
        text = Path(data["image"]).read_text()
        if text == "bad":
            raise ScanError("This scan is bad; give a good one.")
        if text == "bug":
            raise KeyError("surprise")
        return {**data, "text": text}


class Write:
    """Writes the four files of a case."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        case = self.folder / data["case"]
        case.mkdir(parents=True, exist_ok=True)
        for name in ("segmentation.nii.gz", "overview.png", "report.html"):
            (case / name).write_text("x")
        diagnosis = {
            "verdict": "benign", "reason": "all slices", "mean_probability_malignant": 0.25, "slices": [{}, {}],
            "kidneys": [{"volume_ml": 150.0}], "tumors": [{"volume_ml": 2.5, "largest_diameter_mm": 18.0}],
            "scan": {"path": data["image"]}, "provenance": {},
        }  # fmt: skip
        (case / "diagnosis.json").write_text(json.dumps(diagnosis))
        return data


@pytest.fixture
def cases(tmp_path: Path) -> list[Case]:
    found = []
    for name, text in (("a", "good"), ("b", "bad"), ("c", "bug"), ("d", "good")):
        path = tmp_path / f"{name}.txt"
        path.write_text(text)
        found.append(Case(name, str(path)))
    return found


def run(cases: list[Case], out: Path, **options: Any) -> tuple[list[Any], Read]:
    read = Read()
    runner = CaseRunner(cases, Compose([read]), Compose([Write(out)]), out, {}, RunOptions(progress=False, **options))
    return runner.run(), read


def test_a_bad_case_never_stops_the_others(cases: list[Case], tmp_path: Path) -> None:
    outcomes, _ = run(cases, tmp_path / "out")
    assert [o.status for o in outcomes] == ["done", "failed", "failed", "done"]
    rows = list(csv.DictReader((tmp_path / "out" / "summary.csv").open()))
    assert [row["case"] for row in rows] == ["a", "b", "c", "d"]
    assert rows[1]["reason"] == "This scan is bad; give a good one."
    assert "KeyError" in rows[2]["reason"] and "--debug" in rows[2]["reason"]
    assert rows[0]["tumor_ml"] == "2.5" and rows[0]["verdict"] == "benign"
    manifest = json.loads((tmp_path / "out" / "run.json").read_text())
    assert manifest["cases"] == {"done": 2, "skipped": 0, "failed": 2}
    assert manifest["finished"] is not None
    assert manifest["versions"]["torch"]
    assert "synthetic" in manifest["training_notice"] and all("not for clinical use" in row["notice"] for row in rows)


def test_a_run_of_a_bundle_can_end_with_the_failed_cases(cases: list[Case], tmp_path: Path) -> None:
    runner = CaseRunner(
        cases, Compose([Read()]), Compose([Write(tmp_path / "out")]), tmp_path / "out", {}, RunOptions(progress=False)
    )
    runner.run()
    with pytest.raises(CasesFailedError, match=r"2 of 4 cases failed\. b: This scan is bad; give a good one\.; c: "):
        runner.raise_failed()
    runner.cases = runner.cases[::3]
    runner.run()
    runner.raise_failed()


def test_a_second_run_skips_what_is_done(cases: list[Case], tmp_path: Path) -> None:
    run(cases, tmp_path / "out")
    outcomes, read = run(cases, tmp_path / "out")
    assert [o.status for o in outcomes] == ["skipped", "failed", "failed", "skipped"]
    assert read.calls == ["b", "c"]
    rows = list(csv.DictReader((tmp_path / "out" / "summary.csv").open()))
    assert rows[0]["verdict"] == "benign"
    assert rows[0]["reason"] == "all slices (done before; --overwrite does it again)"


def test_overwrite_does_all_again(cases: list[Case], tmp_path: Path) -> None:
    run(cases, tmp_path / "out")
    outcomes, read = run(cases, tmp_path / "out", overwrite=True)
    assert [o.status for o in outcomes] == ["done", "failed", "failed", "done"]
    assert read.calls == ["a", "b", "c", "d"]


def test_a_half_written_case_is_done_again(cases: list[Case], tmp_path: Path) -> None:
    run(cases, tmp_path / "out")
    (tmp_path / "out" / "a" / "diagnosis.json").unlink()
    outcomes, _ = run(cases[:1], tmp_path / "out")
    assert outcomes[0].status == "done"


def test_a_case_done_from_another_scan_says_so(cases: list[Case], tmp_path: Path) -> None:
    run(cases[:1], tmp_path / "out")
    outcomes, _ = run([Case("a", cases[3].path)], tmp_path / "out")
    assert outcomes[0].status == "skipped"
    assert "a.txt" in outcomes[0].reason and "--overwrite" in outcomes[0].reason


def test_a_disk_that_is_full_for_a_while_stops_no_case(
    cases: list[Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, calls = tmp_path / "out", []

    def full(path: Path) -> Any:
        calls.append(path)
        if 4 <= len(calls) <= 5:  # run.json after the first case, summary.csv after the second
            raise OutputError(f"{path} cannot be written: no space is left. Make room.")
        return atomic_path(path)

    monkeypatch.setattr(manifest_of_run, "atomic_path", full)
    outcomes, _ = run([cases[0], cases[3]], out)
    assert [o.status for o in outcomes] == ["done", "done"]
    assert "no space is left" in capsys.readouterr().err
    assert [row["case"] for row in csv.DictReader((out / "summary.csv").open())] == ["a", "d"]
    assert json.loads((out / "run.json").read_text())["cases"]["done"] == 2


def test_an_unwritable_output_folder_is_refused_before_any_work(cases: list[Case], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be made"):
        run(cases, tmp_path / "file" / "out")


def test_errors_become_one_line() -> None:
    assert one_line(ScanError("one\n two")) == "one two"
    assert "Not enough memory" in one_line(MemoryError())
    assert "\n" not in one_line(RuntimeError("a\nb"))


class Cut:
    """Writes new outlines and is stopped before the new verdict."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        (self.folder / data["case"] / "segmentation.nii.gz").write_text("new")
        raise OutputError("No space left.")


def test_overwriting_that_is_cut_leaves_no_old_verdict_beside_new_outlines(cases: list[Case], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(cases[:1], out)
    options = RunOptions(progress=False, overwrite=True)
    outcomes = CaseRunner(cases[:1], Compose([Read()]), Compose([Cut(out)]), out, {}, options).run()
    assert outcomes[0].status == "failed"
    assert (out / "a" / "segmentation.nii.gz").read_text() == "new" and not (out / "a" / "diagnosis.json").exists()
    assert run(cases[:1], out)[0][0].status == "done"  # not skipped


def test_overwriting_that_fails_earlier_keeps_what_was_there(cases: list[Case], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(cases[:1], out)
    Path(cases[0].path).write_text("bad")
    assert run(cases[:1], out, overwrite=True)[0][0].status == "failed"
    assert is_done(out / "a")
