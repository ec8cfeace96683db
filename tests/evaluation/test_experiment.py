"""The engine with trainings and scores that cost nothing; one true run of a small table."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest

from nephro_monai.errors import BundleError, TrainingDataError
from nephro_monai.evaluation import experiment as engine
from nephro_monai.evaluation import experiment_trainings as trainings
from nephro_monai.evaluation.experiment import run_experiment
from nephro_monai.evaluation.experiment_plan import Experiment, Figure, PretrainedWeights, Row, SplitPlan, Training
from nephro_monai.evaluation.experiment_rounds import plan_rounds
from nephro_monai.evaluation.experiment_table import print_experiment, write_experiment
from nephro_monai.evaluation.experiment_trainings import ExperimentOptions

BUNDLE = "renal_tumor_ct_classification_densenet"


@pytest.fixture
def data(tmp_path):
    """Ten cases, three of them benign; two share a patient."""
    records = []
    for i in range(10):
        folder = tmp_path / "data" / f"case_{i:05d}"
        folder.mkdir(parents=True)
        for name in ("imaging.nii.gz", "segmentation.nii.gz"):
            (folder / name).write_bytes(b"")
        source = {"source_label_case": "case_00120" if i < 2 else None}
        records.append({
            "case_id": folder.name, "malignant": i % 5 > 1 or i == 1, "radiographic_size": 3.0, "synthetic": True,
            "phantom": source,
        })  # fmt: skip
    (tmp_path / "data" / "kits.json").write_text(json.dumps(records))
    return tmp_path / "data"


@pytest.fixture
def options(data, tmp_path):
    return ExperimentOptions(data=data, out=tmp_path / "out", device="cpu")


@pytest.fixture
def calls(monkeypatch):
    """What was trained and scored, in order; the answers are right for malignant cases only."""
    log = []

    def train(bundle, options):
        log.append(("train", options.out.name.split("-seed")[0]))
        options.out.joinpath("model.pt").write_bytes(b"")

    def score(scoring):
        log.append(("score", scoring.run.training.name))
        answer = {"verdict": "malignant", "probability": 0.9, "largest": True}
        held_out = scoring.turn.held_out
        return [{"case": c["case"], "malignant": c["malignant"], "slices": [answer]} for c in held_out]

    monkeypatch.setattr(trainings, "train_bundle", train)
    monkeypatch.setattr(engine, "score_row", score)
    return log


def _experiment(**changes) -> Experiment:
    made = {
        name: Training(name=name, bundle=BUNDLE, training={"epochs": epochs})
        for name, epochs in (("one", 1), ("two", 2))
    }
    made["three"] = Training(name="three", bundle=BUNDLE, training={"initial_weights": "{run:two}/model.pt"})
    rows = (
        Row("First", ("one",), {"kind": "k"}, {"vote.f1": "0.8"}),
        Row("Second", ("two", "three"), {"kind": "k"}, {"vote.f1": "0.9"}),
    )
    values = {
        "name": "own", "title": "Title", "source": "Paper, Table 1", "paper_data": "Patients.",
        "split": SplitPlan(folds=2), "figures": (Figure("vote.f1", "F1"), Figure("kidney_dice", "Dice")),
        "trainings": made, "rows": rows, "baseline": True,
    }  # fmt: skip
    return Experiment(**{**values, **changes})


def test_every_case_is_held_out_once_and_patients_stay_together(data):
    rounds = plan_rounds(data, SplitPlan(folds=3), seeds=2)
    assert [(turn.seed, turn.fold) for turn in rounds] == [(s, f) for s in range(2) for f in range(3)]
    for seed in range(2):
        assert sorted(name for turn in rounds if turn.seed == seed for name in turn.names) == [
            f"case_{i:05d}" for i in range(10)
        ]
    for turn in rounds:
        assert not set(turn.names) & set(turn.training)
        assert ("case_00000" in turn.names) == ("case_00001" in turn.names)
    assert len(plan_rounds(data, SplitPlan(cases=4), 1)[0].held_out) in (4, 5)
    assert len(plan_rounds(data, SplitPlan(folds=3, single=True), 1)) == 1
    with pytest.raises(TrainingDataError, match="has 9 patients, too few for this table: 30 patients held out"):
        plan_rounds(data, SplitPlan(cases=30), 1)
    with pytest.raises(TrainingDataError, match="at least one seed"):
        plan_rounds(data, SplitPlan(folds=3), 0)


def test_rows_are_trained_scored_and_kept(options, calls):
    partial = []
    result = run_experiment(_experiment(), options, report=partial.append)
    assert calls == [("train", "one"), ("score", "one")] * 2 + [
        ("train", "two"), ("train", "three"), ("score", "three"),
    ] * 2  # fmt: skip
    assert [len(table["rows"]) for table in partial] == [2, 3]  # with the baseline
    assert partial[0]["missing"] == ["Second"] and result["missing"] == []
    always, first, second = result["rows"]
    assert always["name"] == "Always malignant" and first["encoder"] == "random"
    assert first["figures"]["vote.f1"]["value"] == always["figures"]["vote.f1"]["value"] == pytest.approx(14 / 17)
    assert second["figures"]["vote.f1"]["paper"] == "0.9" and "kidney_dice" not in first["figures"]
    assert result["data"]["synthetic"] == 10 and "Synthetic CT" in result["data"]["description"]
    again = list(calls)
    assert run_experiment(_experiment(), options)["rows"] == result["rows"]
    assert calls == again  # nothing was done twice


def test_a_stopped_run_goes_on(options, calls, monkeypatch):
    score = engine.score_row
    monkeypatch.setattr(engine, "score_row", lambda scoring: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run_experiment(_experiment(), options)
    assert calls == [("train", "one")]
    monkeypatch.setattr(engine, "score_row", score)
    whole = run_experiment(_experiment(), options)
    assert calls.count(("train", "one")) == 2
    other = replace(options, out=options.out.with_name("unbroken"))
    unbroken = run_experiment(_experiment(), other)
    assert [row["figures"] for row in whole["rows"]] == [row["figures"] for row in unbroken["rows"]]


def test_an_interrupted_training_resumes(options, calls, monkeypatch):
    seen = []

    def cut(bundle, given):
        seen.append((given.resume, given.overwrite))
        (given.out / "checkpoints").mkdir(parents=True, exist_ok=True)
        (given.out / "checkpoints" / "last.ckpt").write_bytes(b"")
        if len(seen) == 1:
            raise KeyboardInterrupt
        (given.out / "model.pt").write_bytes(b"")

    monkeypatch.setattr(trainings, "train_bundle", cut)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(_experiment(), options, ["First"])
    (spent,) = options.out.glob("runs/*/seconds.txt")
    spent.write_text("100.0\n")
    result = run_experiment(_experiment(), options, ["First"])
    assert 100 <= result["rows"][1]["seconds"] < 160  # of both attempts, and of the other fold
    assert seen == [(False, True), (True, False), (False, True)]
    assert not list(options.out.glob("runs/*/checkpoints"))


def test_some_rows(options, calls):
    result = run_experiment(_experiment(), options, ["Second"])
    assert {name for _, name in calls} == {"two", "three"} and result["missing"] == ["First"]
    assert [row["name"] for row in run_experiment(_experiment(), options, ["First"])["rows"]][1:] == ["First", "Second"]
    with pytest.raises(BundleError, match="no row 'Third'"):
        run_experiment(_experiment(), options, ["Third"])


def test_a_row_without_trainings_scores_what_ships(options, calls, monkeypatch):
    monkeypatch.setattr(engine, "score_row", lambda scoring: [{"case": "c", "slices": [], "kidney_dice": 0.9}])
    result = run_experiment(_experiment(rows=(Row("As shipped", (), {"kind": "k"}, {}),), baseline=False), options)
    (row,) = result["rows"]
    assert row["figures"]["kidney_dice"]["value"] == pytest.approx(0.9) and row["seconds"] == 0 and not calls


def test_further_cases_are_looked_for_before_anything_is_trained(options, calls, tmp_path):
    (tmp_path / "real" / "scan_1").mkdir(parents=True)
    with pytest.raises(TrainingDataError, match="holds no training case"):
        run_experiment(_experiment(), replace(options, real=tmp_path / "real"))


def test_values_reach_the_configurations(options, calls):
    run_experiment(_experiment(), replace(options, overrides={"batch_size": 3}), ["Second"])
    (folder,) = options.out.glob("runs/three-seed0-fold1-*")
    values = json.loads((folder / "training.json").read_text())
    assert values["batch_size"] == 3 and values["seed"] == 0
    assert values["initial_weights"].endswith("/model.pt") and "/two-seed0-fold1-" in values["initial_weights"]
    assert values["split"]["_target_"] == "nephro_monai.data.listed_split"
    record = json.loads((folder / "run.json").read_text())
    assert record["held_out"] == values["split"]["held_out"] and "cores" in record["hardware"]
    with pytest.raises(BundleError, match="No training of own has the id 'batches'"):
        run_experiment(_experiment(), replace(options, overrides={"batches": 3}))


def test_values_reach_scoring(options, calls):
    values = {"colorizer_weights": "own.pt", "window_hu": [-100, 300]}  # of both, of inference.json
    given = replace(options, overrides={**values, "batch_size": 3, "network": "@network_def"})
    scored = tuple(replace(row, score={"kind": "tumor_slices"}) for row in _experiment().rows)
    run_experiment(_experiment(rows=scored), given, ["First"])
    (folder,) = options.out.glob("runs/one-seed0-fold1-*")
    training, inference = (json.loads((folder / f"{of}.json").read_text()) for of in ("training", "inference"))
    assert (training["colorizer_weights"], training["batch_size"]) == ("own.pt", 3) and "window_hu" not in training
    assert inference == values
    with pytest.raises(BundleError, match="has the id 'window_hu'"):  # nothing reads inference.json
        run_experiment(_experiment(), given)


def test_configurations_for_training_only(options, calls):
    bundle = "kidney_tumor_ct_segmentation_scnet"
    one = Training(name="one", bundle=bundle, configs=("ternary_only.json",))
    plan = _experiment(trainings={"one": one}, rows=_experiment().rows[:1])
    run_experiment(plan, replace(options, overrides={"slice_size": 64}))
    assert {json.loads(path.read_text())["slice_size"] for path in options.out.glob("runs/*/training.json")} == {64}


def test_pretrained_weights(options, calls, tmp_path):
    file = tmp_path / "cic.pt"
    file.write_bytes(b"")
    weights = {
        "ImageNet": PretrainedWeights({"pretrained_encoder": "{source}"}, "timm", "ImageNet (timm)"),
        "CIC": PretrainedWeights({"colorizer_weights": "{source}"}, None, "released", "colorizer"),
    }
    one = Training(name="one", bundle=BUNDLE, pretrained=weights, colorizer="ct_colorization_cic")
    plan = _experiment(trainings={"one": one}, rows=_experiment().rows[:1])
    random = run_experiment(plan, options)["rows"][1]
    assert (random["encoder"], random["colorizer"]) == ("random", "ct_colorization_cic, trained on synthetic CT only")
    given = replace(options, pretrained={"ImageNet": None, "CIC": str(file)})
    row = run_experiment(plan, given)["rows"][1]
    assert (row["encoder"], row["colorizer"]) == ("ImageNet (timm)", "released")
    written = [json.loads(path.read_text()) for path in sorted(options.out.glob("runs/*/training.json"))]
    assert {"timm", None} == {values.get("pretrained_encoder") for values in written}
    inference = [json.loads(path.read_text()) for path in options.out.glob("runs/*/inference.json")]
    assert {str(file), None} == {values.get("colorizer_weights") for values in inference}
    with pytest.raises(BundleError, match="own cannot start from 'X'; the weights it takes are: CIC, ImageNet"):
        run_experiment(plan, replace(options, pretrained={"X": None}))
    with pytest.raises(ValueError, match="--pretrained CIC=FILE"):
        run_experiment(plan, replace(options, pretrained={"CIC": None}))
    done = list(calls)
    with pytest.raises(ValueError, match=r"no file absent\.pt; .*--pretrained CIC=FILE"):
        run_experiment(plan, replace(options, pretrained={"CIC": "absent.pt"}))
    assert calls == done  # nothing was trained


def test_seeds_have_a_deviation(options, calls):
    result = run_experiment(_experiment(), replace(options, seeds=2), ["First"])
    entry = result["rows"][1]["figures"]["vote.f1"]
    assert entry["deviation_over_seeds"] == pytest.approx(0.0) and entry["over"].endswith("20 answers")


def test_table_files(options, calls, tmp_path, capsys):
    experiment = _experiment(small=True, notes=("A note.",))
    result = run_experiment(experiment, options)
    write_experiment(result, tmp_path / "tables")
    assert json.loads((tmp_path / "tables" / "own.json").read_text()) == json.loads(json.dumps(result))
    text = (tmp_path / "tables" / "own.md").read_text()
    for part in (
        "| First | 0.824 (0.", "; paper: 0.8 | ", "SYNTHETIC CT", "Small run", "| Always malignant | 0.824 (",
        "Weights at the start: random (all rows).", "2-fold cross-validation", "seeds: 1", "- A note.", "Hardware: ",
        "not for clinical use", "| Second | random | - |",
    ):  # fmt: skip
        assert part in text, part
    rows = list(csv.DictReader((tmp_path / "tables" / "own.csv").open()))
    assert [(row["row"], row["paper"], row["data"]) for row in rows][1] == ("First", "0.8", "synthetic")
    assert float(rows[1]["ours"]) == pytest.approx(14 / 17)
    print_experiment(result)
    assert "Title" in capsys.readouterr().out


def test_other_data_are_trained_anew(options, calls):
    run_experiment(_experiment(), options, ["First"])
    (options.data / "case_00000" / "segmentation.nii.gz").write_bytes(b"other")
    run_experiment(_experiment(), options, ["First"])
    assert calls.count(("train", "one")) == 4


def test_too_few_cases_of_either_class(data):
    with pytest.raises(TrainingDataError, match="need 8 cases of one class; there are 7 malignant, 3 benign"):
        plan_rounds(data, SplitPlan(folds=8), 1)


def test_checkpoints_stay_until_a_training_is_marked_as_finished(options, calls, monkeypatch):
    def train(bundle, given):
        (given.out / "checkpoints").mkdir(exist_ok=True)
        (given.out / "checkpoints" / "last.ckpt").write_bytes(b"")
        (given.out / "model.pt").write_bytes(b"")

    marked = []
    remove = trainings._remove_checkpoints
    monkeypatch.setattr(trainings, "train_bundle", train)
    monkeypatch.setattr(trainings, "_remove_checkpoints", lambda folder: marked.append((folder / "run.json").is_file()))
    run_experiment(_experiment(), options, ["First"])
    assert marked == [True, True] and len(list(options.out.glob("runs/*/checkpoints"))) == 2
    monkeypatch.setattr(trainings, "_remove_checkpoints", remove)  # as after a stop between marker and removal
    run_experiment(_experiment(), options, ["First"])
    assert not list(options.out.glob("runs/*/checkpoints"))


def test_versions_are_those_of_the_runs(options, calls):
    run_experiment(_experiment(), options, ["First"])
    for path, version in zip(sorted(options.out.glob("runs/*/run.json")), ("0.0.1", "0.0.2"), strict=True):
        record = json.loads(path.read_text())
        changed = {**record, "versions": {**record["versions"], "torch": version}, "git_revision": f"r{version}"}
        path.write_text(json.dumps(changed))
    result = run_experiment(_experiment(), options, ["First"])
    assert result["versions"]["torch"] == "0.0.1; 0.0.2" and result["git_revision"] == "r0.0.1; r0.0.2"
