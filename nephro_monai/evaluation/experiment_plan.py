"""The papers' tables as data: what each row trains, how it is scored, and what the paper reports."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nephro_monai.errors import BundleError

__all__ = [
    "Experiment",
    "Figure",
    "PretrainedWeights",
    "Row",
    "SplitPlan",
    "Training",
    "list_experiments",
    "read_experiment",
]

_FOLDER = Path(__file__).with_name("experiments")
_TRAINING_KEYS = {
    "bundle",
    "configs",
    "training_configs",
    "both",
    "training",
    "inference",
    "pretrained",
    "start",
    "colorizer",
    "small",
}
_BLOCKS = ("both", "training", "inference", "pretrained")


@dataclass(frozen=True)
class SplitPlan:
    """Which cases are held out; patients are never split.

    Attributes:
        folds: Of a cross-validation stratified by malignancy; every case is held out once. 0 for a single split.
        single: Hold out only the first of these folds.
        fraction: Share of the patients held out by a single split.
        cases: Number of patients held out by a single split, instead of a share.
    """

    folds: int = 0
    single: bool = False
    fraction: float = 0.0
    cases: int = 0

    @property
    def rounds(self) -> int:
        """How often a row is trained for one seed."""
        return 1 if self.single else self.folds or 1

    def __str__(self) -> str:
        if self.single:
            return f"1 of {self.folds} parts of the patients held out, stratified by malignancy"
        if self.folds:
            return f"{self.folds}-fold cross-validation, stratified by malignancy"
        return f"{self.cases} patients held out" if self.cases else f"{self.fraction:.0%} of the patients held out"


@dataclass(frozen=True)
class PretrainedWeights:
    """Weights that the paper starts from and that a user may give.

    Attributes:
        overrides: Ids of the training that they set; "{source}" stands for the file or the library's name.
        source: What is taken where the user names no file; None where only a file will do.
        text: What the table says of them.
        part: "encoder" or "colorizer".
    """

    overrides: Mapping[str, Any]
    source: str | None
    text: str
    part: str = "encoder"


@dataclass(frozen=True)
class Training:
    """One run of a bundle's train.json.

    Attributes:
        name: In the experiment's file and in folder names.
        bundle: To train.
        configs: Of the bundle, laid over train.json and inference.json.
        training_configs: Laid over train.json alone.
        both: New values for ids of both.
        training: New values for ids of train.json. "{run:NAME}" stands for the folder of another training.
        inference: New values for ids of inference.json.
        pretrained: By the name that `--pretrained` takes.
        start: What the table says of the starting weights where the user gives none.
        colorizer: Bundle of the colorizer, "none" where gray is copied to three channels; empty where colors play no
            part.
    """

    name: str
    bundle: str
    configs: tuple[str, ...] = ()
    training_configs: tuple[str, ...] = ()
    both: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    inference: Mapping[str, Any] = field(default_factory=dict)
    pretrained: Mapping[str, PretrainedWeights] = field(default_factory=dict)
    start: str = "random"
    colorizer: str = ""

    def configs_of(self, of: str) -> tuple[str, ...]:
        """Configurations that lie over "training" (train.json) or "inference" (inference.json)."""
        return (*self.configs, *self.training_configs) if of == "training" else self.configs


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        name: As the paper has it.
        trainings: Names, in the order they run.
        score: The scorer ("kind") and its settings.
        paper: The paper's figures by `Figure.key`, as printed there.
    """

    name: str
    trainings: tuple[str, ...]
    score: Mapping[str, Any]
    paper: Mapping[str, str]


@dataclass(frozen=True)
class Figure:
    """One figure that a table shows of every row that has it.

    Attributes:
        key: As `experiment_figures` computes it.
        name: In the table.
    """

    key: str
    name: str


@dataclass(frozen=True)
class Experiment:
    """One table of a paper.

    Attributes:
        name: As `nephro experiment` takes it.
        title: What is compared.
        source: Paper and table.
        paper_data: What the paper's figures were measured on.
        split: Which cases are held out.
        figures: What is shown of every row.
        trainings: By name.
        rows: In the paper's order.
        notes: How ours differs from the paper.
        baseline: Whether the answer "always malignant" stands beside.
        small: Whether the small values are in force.
    """

    name: str
    title: str
    source: str
    paper_data: str
    split: SplitPlan
    figures: tuple[Figure, ...]
    trainings: Mapping[str, Training]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    baseline: bool = False
    small: bool = False

    def chosen(self, rows: Sequence[str]) -> Experiment:
        """The experiment with some rows only.

        Raises:
            BundleError: If there is no row of a name.
        """
        known = [row.name for row in self.rows]
        if unknown := [name for name in rows if name not in known]:
            raise BundleError(f"{self.name} has no row {unknown[0]!r}; its rows are: {'; '.join(known)}.")
        return replace(self, rows=tuple(row for row in self.rows if row.name in rows)) if rows else self


def list_experiments() -> dict[str, str]:
    """Names and titles of the experiments, in order of their names."""
    return {path.stem: str(_load(path)["title"]) for path in sorted(_FOLDER.glob("*.json"))}


def read_experiment(name: str | Path, small: bool = False) -> Experiment:
    """Reads an experiment.

    Args:
        name: Of one that comes with the package, or the path of a JSON file.
        small: Take the small values: tiny networks and few steps, to see that everything runs.

    Raises:
        BundleError: If there is none of that name, or its file is broken.
    """
    content = _load(_path(name))
    try:
        return _experiment(Path(name).stem, content, small)
    except (KeyError, TypeError) as error:
        raise BundleError(f"The experiment {name} is incomplete ({error!r}); compare it with those shipped.") from error


def _path(name: str | Path) -> Path:
    for path in (_FOLDER / f"{name}.json", Path(name)):
        if path.is_file():
            return path
    raise BundleError(f"There is no experiment {str(name)!r}; give one of {', '.join(list_experiments())}, or a file.")


def _load(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read as JSON ({error}).") from error


def _experiment(name: str, content: Mapping[str, Any], small: bool) -> Experiment:
    trainings = _trainings(content, small)
    split = content["small"]["split"] if small and "split" in content.get("small", {}) else content["split"]
    rows = tuple(Row(row["name"], tuple(row["trainings"]), _score(row, small), row["paper"]) for row in content["rows"])
    for row in rows:
        if unknown := [training for training in row.trainings if training not in trainings]:
            raise BundleError(f"The experiment {name} has no training {unknown[0]!r} for its row {row.name!r}.")
    return Experiment(
        name=name, title=content["title"], source=content["source"], paper_data=content["paper_data"],
        split=SplitPlan(**split), figures=tuple(Figure(key, text) for key, text in content["figures"].items()),
        trainings=trainings, rows=rows, notes=tuple(content.get("notes", ())), baseline=content.get("baseline", False),
        small=small,
    )  # fmt: skip


def _trainings(content: Mapping[str, Any], small: bool) -> dict[str, Training]:
    """Those of the experiments named under "include", then its own; "defaults" lie under each of its own."""
    found: dict[str, Training] = {}
    for other in content.get("include", ()):
        found |= _trainings(_load(_path(other)), small)
    defaults = content.get("defaults", {})
    for name, values in content.get("trainings", {}).items():
        merged = _laid_over(defaults, values)
        if small:
            merged = _laid_over(merged, merged.get("small", {}))
        if unknown := set(merged) - _TRAINING_KEYS:
            raise BundleError(f"The training {name} has unknown keys {sorted(unknown)}.")
        merged.pop("small", None)
        pretrained = {key: PretrainedWeights(**value) for key, value in merged.pop("pretrained", {}).items()}
        configs, training_configs = (tuple(merged.pop(key, ())) for key in ("configs", "training_configs"))
        found[name] = Training(
            name=name, configs=configs, training_configs=training_configs, pretrained=pretrained, **merged
        )
    return found


def _laid_over(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Blocks of ids are merged, anything else replaced; the small values of both are merged the same way."""
    merged = {**under, **over}
    for block in _BLOCKS:
        if block in under and block in over:
            merged[block] = {**under[block], **over[block]}
    if "small" in under and "small" in over:
        merged["small"] = _laid_over(under["small"], over["small"])
    return merged


def _score(row: Mapping[str, Any], small: bool) -> dict[str, Any]:
    score = dict(row["score"])
    lesser = score.pop("small", {})
    return {**score, **lesser} if small else score
