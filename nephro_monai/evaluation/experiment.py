"""Runs a paper's table: trains every row on some patients, scores it on the others, and keeps what is done."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from statistics import stdev
from typing import Any

from nephro_monai.constants import DISCLAIMER
from nephro_monai.engine.environment import git_revision, hardware, resolve_device, versions
from nephro_monai.evaluation.bootstrap import LEVEL, RESAMPLES
from nephro_monai.evaluation.cohort import Cohort, read_cohort
from nephro_monai.evaluation.experiment_figures import baseline_figures, row_figures
from nephro_monai.evaluation.experiment_identity import score_identity
from nephro_monai.evaluation.experiment_plan import Experiment, Row
from nephro_monai.evaluation.experiment_rounds import Round, plan_rounds
from nephro_monai.evaluation.experiment_scores import Scoring, score_row
from nephro_monai.evaluation.experiment_trainings import (
    ExperimentOptions,
    TrainedRun,
    check_options,
    train_once,
)
from nephro_monai.io.atomic import atomic_path

__all__ = ["run_experiment"]

Result = dict[str, Any]


def run_experiment(
    experiment: Experiment,
    options: ExperimentOptions,
    rows: Sequence[str] = (),
    report: Callable[[Result], None] | None = None,
) -> Result:
    """Runs the rows that are not done yet and gives the whole table.

    Args:
        experiment: From `read_experiment`.
        options: Data, output folder, seeds, device.
        rows: Names of rows to run; all by default. Others are in the table where they were run before.
        report: Called with the table whenever a row is done.

    Returns:
        The table, ready for JSON: `experiment`, `title`, `source`, `paper_data`, `data`, `split`, `seeds`, `small`,
        `hardware`, `versions`, `git_revision`, `rows` (each with `name`, `encoder`, `colorizer`, `seconds` and
        `figures`), `notes` and `disclaimer`.

    Raises:
        BundleError: If a row, an id or a name of pretrained weights is unknown.
        TrainingDataError: If the data do not suffice.
    """
    check_options(experiment, options)
    wanted = {row.name for row in experiment.chosen(rows).rows}
    rounds = plan_rounds(options.data, experiment.split, options.seeds)
    cohort = read_cohort(options.data)
    finished: list[Result] = []
    for row in experiment.rows:
        parts = [part for turn in rounds if (part := _part(experiment, row, turn, options, row.name in wanted))]
        if len(parts) == len(rounds):
            finished.append({"row": row, "parts": parts})
        if report is not None and row.name in wanted:
            report(_table(experiment, options, finished, cohort))
    return _table(experiment, options, finished, cohort)


def _part(experiment: Experiment, row: Row, turn: Round, options: ExperimentOptions, may_run: bool) -> Result | None:
    """Records of one row in one round; those kept from before, or None where they would have to be made."""
    done: dict[str, TrainedRun] = {}
    for name in row.trainings:
        run = train_once(experiment.trainings[name], turn, options, done, only_finished=not may_run)
        if run is None:
            return None
        done[name] = run
    names = [run.folder.name for run in done.values()]
    identity = json.dumps([dict(row.score), names, score_identity(row.score, options.real)], sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:10]
    folder = options.out / "scores" / f"{_slug(row.name)}-seed{turn.seed}-fold{turn.fold}-{digest}"
    path = folder / "records.json"
    if not path.is_file():
        if not may_run:
            return None
        options.say(f"{row.name}, seed {turn.seed}, fold {turn.fold}: scoring {len(turn.held_out)} held-out cases")
        records = score_row(Scoring(row.score, turn, options, done, folder))
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(records) + "\n", encoding="utf-8")
    runs = [dict(run.record) for run in done.values()]
    return {"seed": turn.seed, "records": json.loads(path.read_text(encoding="utf-8")), "runs": runs}


def _table(experiment: Experiment, options: ExperimentOptions, finished: Sequence[Result], cohort: Cohort) -> Result:
    sizes = {case.name: case.diameter_mm for case in cohort.cases}
    rows = [_row(experiment, entry["row"], entry["parts"], sizes) for entry in finished]
    rows = [*_baselines(experiment, finished, sizes), *rows]
    runs = [run for entry in finished for part in entry["parts"] for run in part["runs"]]
    hardwares = {run["hardware"] for run in runs}
    return {
        "experiment": experiment.name, "title": experiment.title, "source": experiment.source,
        "paper_data": experiment.paper_data,
        "data": {
            "folder": cohort.folder.name, "description": cohort.description,
            "synthetic": cohort.synthetic, "cases": len(cohort.cases),
        },
        "split": str(experiment.split), "seeds": options.seeds, "small": experiment.small,
        "overrides": dict(options.overrides),
        "hardware": sorted(hardwares) or [hardware(resolve_device(options.device))], "versions": _versions(runs),
        "git_revision": (_joined(run["git_revision"] for run in runs) or None) if runs else git_revision(),
        "rows": rows, "missing": _missing(experiment, finished),
        "notes": [*experiment.notes, *cohort.notes], "disclaimer": DISCLAIMER,
        "intervals": f"{LEVEL:.0%}, percentiles of {RESAMPLES} bootstrap samples of cases",
    }  # fmt: skip


def _versions(runs: Sequence[Result]) -> dict[str, str]:
    """Those that the trainings ran with, several where they differ; this machine's before there is any."""
    found = [run["versions"] for run in runs] or [versions()]
    names = dict.fromkeys(name for entry in found for name in entry)
    return {name: _joined(entry.get(name, "") for entry in found) for name in names}


def _baselines(experiment: Experiment, finished: Sequence[Result], sizes: Mapping[str, float | None]) -> list[Result]:
    """What always answering "malignant" scores, once for every set of answers (slices, patients) that rows give."""
    found: dict[str, dict[str, Any]] = {}
    for entry in finished if experiment.baseline else ():
        records = [record for part in entry["parts"] for record in part["records"]]
        figures = baseline_figures(records, sizes, _keys(experiment))
        if figures:
            found.setdefault(next(iter(figures.values()))["over"], figures)
    names = [f"Always malignant ({over})" for over in found] if len(found) > 1 else ["Always malignant"]
    return [
        {"name": name, "encoder": "", "colorizer": "", "seconds": 0.0, "figures": _shown(experiment, figures, {})}
        for name, figures in zip(names, found.values(), strict=False)
    ]


def _missing(experiment: Experiment, finished: Sequence[Result]) -> list[str]:
    done = {entry["row"].name for entry in finished}
    return [row.name for row in experiment.rows if row.name not in done]


def _row(experiment: Experiment, row: Row, parts: Sequence[Result], sizes: Mapping[str, float | None]) -> Result:
    keys = _keys(experiment)
    figures = row_figures([record for part in parts for record in part["records"]], sizes, keys)
    seeds = sorted({part["seed"] for part in parts})
    by_seed = [
        row_figures([r for part in parts if part["seed"] == seed for r in part["records"]], sizes, keys)
        for seed in (seeds if len(seeds) > 1 else ())
    ]
    shown = _shown(experiment, figures, row.paper)
    for key, entry in shown.items():
        found = [one[key]["value"] for one in by_seed if key in one]
        values = [value for value in found if value is not None]
        entry["deviation_over_seeds"] = stdev(values) if len(values) > 1 else None
    runs = [run for part in parts for run in part["runs"]]
    return {
        "name": row.name, "encoder": _joined(run["encoder"] for run in runs),
        "colorizer": _joined(run["colorizer"] for run in runs),
        "seconds": round(sum(run["seconds"] for run in runs), 1), "figures": shown,
    }  # fmt: skip


def _keys(experiment: Experiment) -> list[str]:
    return [figure.key for figure in experiment.figures]


def _shown(experiment: Experiment, figures: Mapping[str, Any], paper: Mapping[str, str]) -> dict[str, Result]:
    """The experiment's figures that there are, or that the paper has."""
    nothing = {"value": None, "interval": None, "over": "not defined on these cases"}
    return {
        figure.key: {"name": figure.name, "paper": paper.get(figure.key, ""), **figures.get(figure.key, nothing)}
        for figure in experiment.figures
        if figure.key in figures or figure.key in paper
    }


def _joined(texts: Any) -> str:
    return "; ".join(dict.fromkeys(text for text in texts if text))


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
