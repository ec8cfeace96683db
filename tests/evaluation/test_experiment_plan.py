"""Every shipped table can be read, and every id that it sets exists in its bundle."""

from __future__ import annotations

import json

import pytest

from nephro_monai.engine.bundles import read_configs
from nephro_monai.errors import BundleError
from nephro_monai.evaluation.experiment_plan import SplitPlan, list_experiments, read_experiment
from nephro_monai.evaluation.experiment_scores import SCORERS
from nephro_monai.evaluation.malignancy import score_calls

TABLES = [
    "colornephronet-2", "colornephronet-3", "colornephronet-4", "dahiya", "kamkova-1", "scnet-1", "zhou-2", "zhou-3",
    "zhou-freezing",
]  # fmt: skip
STUDIES = ["fine-tuning", "synthetic-to-real"]
"""Of our own, without figures of a paper."""
RUN_INFERENCE = {"tumor_slices", "cascade"}


def _experiment(tmp_path, **changes):
    content = {
        "title": "t", "source": "s", "paper_data": "p", "split": {"folds": 5}, "small": {"split": {"folds": 2}},
        "figures": {"vote.f1": "F1"},
        "defaults": {"bundle": "b", "training": {"epochs": 9, "x": 1}, "small": {"training": {"epochs": 1}}},
        "trainings": {
            "a": {"training": {"x": 2}},
            "c": {"configs": ["d"], "training_configs": ["e"], "small": {"training": {"x": 3}, "configs": []}},
        },
        "rows": [{"name": "A", "trainings": ["a"], "score": {"kind": "k", "n": 8, "small": {"n": 1}}, "paper": {}}],
    }  # fmt: skip
    path = tmp_path / "own.json"
    path.write_text(json.dumps({**content, **changes}))
    return path


def test_all_tables_are_there():
    assert list(list_experiments()) == sorted([*TABLES, *STUDIES])


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("name", [*TABLES, *STUDIES])
def test_ids_exist(name, small):
    experiment = read_experiment(name, small)
    assert experiment.name == name and experiment.small is small
    for row in experiment.rows:
        assert row.score["kind"] in SCORERS
        for training in (experiment.trainings[key] for key in row.trainings):
            files = [("train.json", "training", {**training.both, **training.training})]
            if row.score["kind"] in RUN_INFERENCE:
                files.append(("inference.json", "inference", {**training.both, **training.inference}))
            for file, of, values in files:
                parser = read_configs(training.bundle, (file, *training.configs_of(of)))
                for key, value in values.items():
                    assert (key.rpartition("#")[0] or key) in parser, (training.name, file, key)
                    parser[key] = value
            parser = read_configs(training.bundle, ("train.json", *training.configs_of("training")))
            for weights in training.pretrained.values():
                assert all((key.rpartition("#")[0] or key) in parser for key in weights.overrides)


@pytest.mark.parametrize("name", TABLES)
def test_paper_figures_are_shown(name):
    experiment = read_experiment(name)
    shown = {figure.key for figure in experiment.figures}
    for row in experiment.rows:
        assert row.paper and set(row.paper) <= shown
    known = {"kidney_dice", "tumor_dice", "slice_accuracy", "recall", "precision", "recall_all", "precision_all"}
    scores = set(score_calls([]))
    for key in shown - known:
        calls, _, score = key.rpartition(".")
        assert calls.split(".")[0] in ("slice", "largest", "vote") and score in scores


def test_figures_of_the_papers():
    rows = {row.name: row.paper for row in read_experiment("scnet-1").rows}
    assert rows["U-Net"] == {"kidney_dice": "0.907", "tumor_dice": "0.911"}
    rows = {row.name: row.paper for row in read_experiment("zhou-3").rows}
    assert rows["ROI: image-level model"]["slice.mcc"] == "0.93"
    assert rows["RBR: GRU model"]["slice.large.accuracy"] == "0.96"
    assert read_experiment("dahiya").rows[0].paper == {"kidney_dice": "0.94", "tumor_dice": "0.46"}


def test_small_values_lie_over_the_others(tmp_path):
    path = _experiment(tmp_path)
    full, small = read_experiment(path), read_experiment(path, small=True)
    assert full.trainings["a"].training == {"epochs": 9, "x": 2} and full.rows[0].score == {"kind": "k", "n": 8}
    assert small.trainings["a"].training == {"epochs": 1, "x": 2} and small.rows[0].score == {"kind": "k", "n": 1}
    assert full.trainings["c"].configs == ("d",) and small.trainings["c"].configs == ()
    assert full.trainings["c"].configs_of("training") == ("d", "e") and full.trainings["c"].configs_of("inference") == (
        "d",
    )
    assert small.trainings["c"].training == {"epochs": 1, "x": 3}
    assert (full.split.folds, small.split.folds) == (5, 2)


def test_splits_in_words():
    assert [SplitPlan(folds=5).rounds, SplitPlan(folds=5, single=True).rounds, SplitPlan(cases=30).rounds] == [5, 1, 1]
    assert str(SplitPlan(cases=30)) == "30 patients held out"
    assert str(SplitPlan(folds=5, single=True)) == "1 of 5 parts of the patients held out, stratified by malignancy"
    assert str(SplitPlan(fraction=0.25)) == "25% of the patients held out"


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(BundleError, match="no experiment 'x'; give one of colornephronet-2"):
        read_experiment("x")
    with pytest.raises(BundleError, match="has no training 'z' for its row 'A'"):
        read_experiment(_experiment(tmp_path, rows=[{"name": "A", "trainings": ["z"], "score": {}, "paper": {}}]))
    with pytest.raises(BundleError, match=r"unknown keys \['epochs'\]"):
        read_experiment(_experiment(tmp_path, trainings={"a": {"epochs": 3}}))
    with pytest.raises(BundleError, match="incomplete"):
        read_experiment(_experiment(tmp_path, rows=[{"name": "A"}]))
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(BundleError, match="cannot be read as JSON"):
        read_experiment(tmp_path / "broken.json")
    with pytest.raises(BundleError, match="has no row 'B'; its rows are: A"):
        read_experiment(_experiment(tmp_path)).chosen(["B"])
