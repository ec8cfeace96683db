"""The reader who knows the look, beside a system's answers."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from nephro_monai.evaluation import CaseMetrics, print_table, summarize, write_figures, write_tables
from nephro_monai.evaluation import look_reader as module
from nephro_monai.evaluation.cohort import Cohort, TruthCase
from nephro_monai.evaluation.look_reader import score_look_reader
from nephro_monai.phantom.records import latent_values
from nephro_monai.phantom.tumors import TumorLook

_PROBABILITIES = {"a": 0.9, "b": 0.4, "c": 0.6, "d": 0.1, "e": None}
_TOLD = {"a": 0.8, "b": 0.7, "c": 0.2, "d": 0.3}


class _Told:
    """Answers what the case's necrosis says."""

    def probabilities(self, patients):
        return np.array([patient["looks"][0]["necrosis"] for patient in patients])


@pytest.fixture
def rows() -> list[CaseMetrics]:
    """Two malignant patients, two benign ones, and a missed one; AUC 0.75 by hand."""
    return [
        CaseMetrics(
            name, "done", malignant=name in "abe", tumor_ml=5.0, tumor_dice=0.5, probability=p, verdict="malignant"
        )
        for name, p in _PROBABILITIES.items()
    ]


@pytest.fixture
def cohort(monkeypatch) -> Cohort:
    monkeypatch.setattr(module, "ideal_observer_of", lambda overrides: _Told())
    cases = []
    for name in _PROBABILITIES:
        look = latent_values(TumorLook("papillary", 60.0, 4.0, 3.0, necrosis=_TOLD.get(name, 0.0)), 30.0)
        phantom = {"phase": "arterial", "kidney_hu": 150.0, "looks": [look]}
        cases.append(TruthCase(name, Path(name), {"case_id": name, "synthetic": True, "phantom": phantom}))
    return Cohort(Path("data"), tuple(cases))


def _without(cohort: Cohort, key: str) -> Cohort:
    first, *others = cohort.cases
    phantom = {name: value for name, value in first.record["phantom"].items() if name != key}
    return replace(cohort, cases=(replace(first, record={**first.record, "phantom": phantom}), *others))


def test_share_of_the_readers_auc_by_hand(rows, cohort):
    found = score_look_reader(rows, cohort)
    assert found is not None
    assert (found["auc"], found["n"]) == (1.0, 4), "the missed tumor is in neither AUC"
    assert found["share_reached"] == pytest.approx((0.75 - 0.5) / (1.0 - 0.5))
    low, high = found["share_interval"]
    assert low < 0.5 < high <= 1.0
    json.dumps(found, allow_nan=False)


def test_nothing_where_a_record_does_not_say_the_look(rows, cohort):
    assert score_look_reader(rows, _without(cohort, "looks")) is None
    assert score_look_reader(rows, _without(cohort, "kidney_hu")) is None
    assert score_look_reader(rows, Cohort(Path("data"), ())) is None
    assert score_look_reader([row for row in rows if row.malignant], cohort) is None
    assert score_look_reader([], cohort) is None


def test_cases_drawn_from_different_ranges_have_no_common_reader(rows, cohort):
    cohort.cases[0].record["phantom"]["parameters"] = {"cases": {"benign_share": 0.2}}
    assert score_look_reader(rows, cohort) is None


def test_figures_of_synthetic_data_say_so(rows, cohort, tmp_path):
    summary = summarize(rows, cohort)
    write_tables(rows, summary, tmp_path)
    text = (tmp_path / "summary.md").read_text()
    assert "| AUC, told the look | 1.000 | synthetic only, n = 4 |" in text
    assert "| Share of it reached | 0.500 | synthetic only, n = 4 |" in text
    assert json.loads((tmp_path / "summary.json").read_text())["malignancy"]["look_reader"]["auc"] == 1.0
    assert "roc.png" in write_figures(rows, summary, tmp_path)
    stream = io.StringIO()
    print_table(rows, summary, Console(file=stream, width=80))
    assert "told the look" in stream.getvalue() and max(map(len, stream.getvalue().splitlines())) <= 80


def test_without_looks_there_is_no_line(rows, cohort, tmp_path):
    summary = summarize(rows, _without(cohort, "looks"))
    assert summary["malignancy"]["look_reader"] is None
    write_tables(rows, summary, tmp_path)
    assert "told the look |" not in (tmp_path / "summary.md").read_text()
