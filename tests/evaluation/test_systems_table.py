"""Systems side by side."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from nephro_monai.errors import TrainingDataError
from nephro_monai.evaluation.systems_table import print_systems, read_systems, write_systems


def _evaluated(folder: Path, malignancy: dict | None) -> None:
    summary = {
        "kidney_dice": {"mean": 0.9, "n": 4}, "tumor_dice_with_tumor": {"mean": 0.5, "n": 3},
        "both_kidneys_found": {"share": 0.75, "n": 4}, "tumor_found": {"share": None, "n": 0},
        "data": {"description": "Synthetic CT: 4 cases."}, "malignancy": malignancy, "seconds": {"mean": 2.5, "n": 4},
    }  # fmt: skip
    for name in ("results", "evaluation"):
        (folder / name).mkdir(parents=True)
    (folder / "evaluation" / "summary.json").write_text(json.dumps(summary))
    (folder / "results" / "run.json").write_text(
        json.dumps({"peak_memory_gib": 1.4, "training_notice": "Seen: synthetic CT."})
    )


def test_rows_hold_what_was_measured_and_nothing_where_nothing_was(tmp_path):
    _evaluated(tmp_path / "with_classifier", {"balanced_accuracy": 0.8, "auc": 0.9, "n_auc": 3})
    _evaluated(tmp_path / "without", {"balanced_accuracy": 0.0, "auc": None, "n_auc": 0})
    first, second = read_systems(tmp_path)
    assert (first.system, first.kidney_dice, first.auc, first.peak_memory_gib) == ("with_classifier", 0.9, 0.9, 1.4)
    assert (second.balanced_accuracy, second.auc, second.tumor_found) == (None, None, None)
    write_systems([second, first], tmp_path / "systems.md")
    lines = (tmp_path / "systems.md").read_text().splitlines()
    assert lines[2] == "| without | 4 | 75 % | 0.900 | 0.500 | - | - | - | 2.5 | 1.4 |"
    assert lines[4:] == ["", "Synthetic CT: 4 cases. Seen: synthetic CT. Research software, not for clinical use."]


def test_80_columns_hold_every_figure(tmp_path):
    _evaluated(tmp_path / "inception_radiomics", {"balanced_accuracy": 0.8, "auc": 0.9, "n_auc": 3})
    console = Console(width=80, record=True, file=io.StringIO())
    print_systems(read_systems(tmp_path), console)
    text = console.export_text()
    assert "…" not in text
    assert text.split("inception_radiomics")[1].split("\n")[0].split() == [
        "4", "75", "%", "0.900", "0.500", "-", "0.800", "0.900", "2.5", "1.4",
    ]  # fmt: skip


def test_missing_runs_are_named(tmp_path):
    with pytest.raises(TrainingDataError, match="needs <system>/results"):
        read_systems(tmp_path)
    with pytest.raises(TrainingDataError, match="scnet"):
        read_systems(tmp_path, ["scnet"])
