"""Each training module learns two synthetic cases by heart: its loss falls, its figures on them become (near) perfect.

A row of `learning.json` is a bundle's own training without random variants and with what makes it quick (`settings`),
validated on the cases it trains on, and the least value of each figure afterwards (`reached`).
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nephro_monai.engine.train import TrainOptions, train_bundle
from nephro_monai.phantom import CohortConfig, PhantomConfig, generate_cohort
from nephro_monai.phantom.config import SMALL_SHAPE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.filterwarnings("ignore")]

LESSONS: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "learning.json").read_text())


@pytest.fixture(scope="module")
def two_cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A malignant and a benign tumor."""
    folder = tmp_path_factory.mktemp("two") / "data"
    case = PhantomConfig(shape=SMALL_SHAPE, special="ordinary")
    generate_cohort(folder, CohortConfig(cases=2, seed=6, case=case, kinds=("malignant", "benign"), tissues=True))
    return folder


def logged(out: Path, *columns: str) -> list[float]:
    """Values of the first of these columns that a run has logged."""
    rows = [row for file in sorted(out.glob("logs/*/metrics.csv")) for row in csv.DictReader(file.open())]
    return next(values for name in columns if (values := [float(row[name]) for row in rows if row.get(name)]))


@pytest.mark.parametrize("bundle", LESSONS)
def test_two_cases_are_learned_by_heart(bundle: str, two_cases: Path, tmp_path: Path) -> None:
    settings, least = LESSONS[bundle]["settings"], LESSONS[bundle]["reached"]
    common = {"progress": False, "validation_interval": settings["epochs"], "train#trainer#log_every_n_steps": 1}
    options = TrainOptions(data=two_cases, out=tmp_path, device="cpu", precision="32", overrides={**common, **settings})
    train_bundle(bundle, options)
    losses = logged(tmp_path, "train_loss_step", "train_loss")
    fifth = len(losses) // 5
    assert np.mean(losses[-fifth:]) < 0.5 * np.mean(losses[:fifth])
    assert np.mean(losses[2 * fifth : 3 * fifth]) < np.mean(losses[:fifth]), "it falls from the start"
    reached = {name: logged(tmp_path, name)[-1] for name in least}
    assert all(reached[name] >= value for name, value in least.items()), reached
