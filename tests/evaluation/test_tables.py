"""The files and the table for people."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from rich.console import Console

from nephro_monai.constants import DISCLAIMER
from nephro_monai.evaluation import evaluate_cohort, print_table, write_tables


@pytest.fixture
def result(data, predictions):
    return evaluate_cohort(predictions, data)


def test_files_hold_the_same_figures(result, tmp_path):
    rows, summary = result
    write_tables(rows, summary, tmp_path / "new" / "folder")
    folder = tmp_path / "new" / "folder"
    with (folder / "metrics.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["case"] for row in table] == [row.case for row in rows]
    assert list(table[0])[:4] == ["case", "kidney_dice", "tumor_dice", "composite"]
    mean = sum(float(row["kidney_dice"]) for row in table) / len(table)
    assert mean == pytest.approx(json.loads((folder / "summary.json").read_text())["kidney_dice"]["mean"], abs=1e-9)
    text = (folder / "summary.md").read_text()
    assert f"| Kidney Dice | {mean:.3f} | n = 4 |" in text
    assert "Synthetic CT: 2 cases around real label maps, 2 cases of procedural anatomy." in text
    assert DISCLAIMER in text
    assert "`both_kidneys_found`:" in text
    with (folder / "lesions.csv").open(newline="") as file:
        lesions = list(csv.DictReader(file))
    assert [(x["case"], x["kind"], x["hit"]) for x in lesions[:2]] == [
        ("case_00000", "true", "True"), ("case_00000", "predicted", "True")
    ]  # fmt: skip


def test_printed_table(result):
    stream = io.StringIO()
    print_table(*result, Console(file=stream, width=80))
    text = stream.getvalue()
    lines = {line.split()[0]: re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if "case_" in line}
    assert lines["case_00000"][1:] == ["malignant", "malignant", "1.000", "1.000", "2 of 2", "12.5"]
    assert lines["case_00002"][1:3] == ["no tumor", "benign"]
    assert lines["case_00003"][2] == "missed"
    assert max(map(len, text.splitlines())) <= 80
    assert "Synthetic CT" in text


def test_reasons_are_printed(data, predictions):
    (predictions / "case_00001" / "segmentation.nii.gz").write_bytes(b"")
    stream = io.StringIO()
    print_table(*evaluate_cohort(predictions, data), Console(file=stream, width=200))
    assert "case_00001 (failed):" in stream.getvalue()
