"""What a cross-validation runs with, and the file that says so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from nephro_monai.data.fold_plan import FoldPlan, Stratify
from nephro_monai.data.kits19 import lacking_files
from nephro_monai.engine.bundle_weights import check_configs, existing_configs
from nephro_monai.engine.bundles import instantiate, override, parse_overrides, read_configs
from nephro_monai.engine.cascade import cascade_parser
from nephro_monai.engine.environment import git_revision, versions
from nephro_monai.errors import BundleError, OutputError, TrainingDataError
from nephro_monai.io.atomic import atomic_path
from nephro_monai.systems import System, find_system

__all__ = [
    "RUN_FILE",
    "FoldSettings",
    "check_files",
    "check_run",
    "folds_were_given",
    "kept_bundles",
    "settings_by_bundle",
    "trained_bundles",
    "write_run",
]

RUN_FILE = "cross_validation.json"
"""In the output folder: the settings of the run, for whoever resumes it or predicts with its folds."""

BORROWED = "borrowed"
CASCADE = "nephro_cascade"
_MAKE_FOLDS = ("seed", "stratify", "calibration_fraction")


@dataclass(frozen=True)
class FoldSettings:
    """What decides over the figures of a cross-validation; a resumed run must have the same.

    Attributes:
        system: Name, as in `nephro_monai.systems`.
        folds: How many.
        stratify: "malignancy" or "none".
        seed: Of the folds.
        calibration_fraction: Share of each fold's training patients kept for temperature and limits; 0 for none.
        sensitivity: Share of malignant patients that must not be called benign; None for no abstention.
        keep: Bundles that are not trained but used with the weights they come with; "borrowed" stands for all those
            that the system borrows.
        configs: Configurations of the bundles for training and inference, such as "full_size.json"; a bundle that
            lacks one goes without.
        cascade_configs: Configurations of the cascade, laid over the system's.
        settings: "ID=VALUE" for every bundle whose train.json has the id, "BUNDLE:ID=VALUE" for one
            ("nephro_cascade:ID=VALUE" for the prediction).
    """

    system: str
    folds: int = 5
    stratify: Stratify = "malignancy"
    seed: int = 0
    calibration_fraction: float = 0.2
    sensitivity: float | None = None
    keep: tuple[str, ...] = ()
    configs: tuple[str, ...] = ()
    cascade_configs: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()

    @property
    def content(self) -> dict[str, Any]:
        """As JSON holds it."""
        return dict(json.loads(json.dumps(vars(self))))


def kept_bundles(system: System, keep: Sequence[str]) -> tuple[str, ...]:
    """The bundles that are not trained.

    Raises:
        BundleError: If one is none of the system's, or all are kept.
    """
    names = {name for entry in keep for name in (system.borrows if entry == BORROWED else (entry,))}
    unknown = sorted(names - set(system.bundles))
    if unknown:
        raise BundleError(
            f"{system.name} has no bundle {', '.join(unknown)} to keep; its bundles are {', '.join(system.bundles)}."
        )
    if names == set(system.bundles):
        raise BundleError(f"Every bundle of {system.name} is kept, so there is nothing to cross-validate.")
    return tuple(name for name in system.bundles if name in names)


def trained_bundles(system: System, keep: Sequence[str]) -> tuple[str, ...]:
    """The bundles that every fold trains: all but the kept ones."""
    kept = kept_bundles(system, keep)
    return tuple(name for name in system.bundles if name not in kept)


def settings_by_bundle(settings: FoldSettings) -> dict[str, dict[str, Any]]:
    """New values by id for every trained bundle's train.json and for the cascade.

    Raises:
        BundleError: If a setting names an unknown bundle, or an id that no train.json has; if a configuration is none
            of a trained bundle's; if trainings and cascade take different numbers of contrast phases.
    """
    system = find_system(settings.system)
    trained = trained_bundles(system, settings.keep)
    check_configs(trained, settings.configs)
    parsers = {name: read_configs(name, ("train.json", *existing_configs(name, settings.configs))) for name in trained}
    cascade = cascade_parser(configs=(system.configuration, *settings.cascade_configs))
    found: dict[str, dict[str, Any]] = {name: {} for name in (*trained, CASCADE)}
    for setting in settings.settings:
        owner, colon, rest = setting.partition(":")
        named = bool(colon) and "=" not in owner
        ((key, value),) = parse_overrides([rest if named else setting]).items()
        takers = [owner] if named else [name for name, parser in parsers.items() if key in parser]
        if named and owner not in found:
            raise BundleError(f"'{setting}' is for {owner}, which is none of {', '.join(found)}.")
        if not takers or (named and key not in parsers.get(owner, cascade)):
            where = owner if named else f"no train.json of {', '.join(trained)}"
            raise BundleError(f"'{setting}': {where} has {'no' if named else 'the'} id '{key}'.")
        for name in takers:
            found[name][key] = value
    _check_phases({name: override(parser, name, found[name]) for name, parser in parsers.items()}, cascade)
    return found


def _check_phases(trainings: Mapping[str, ConfigParser], cascade: ConfigParser) -> None:
    """Refuses to train a network on two contrast phases that the cascade would give one, and the other way round."""
    reads = 1 + any(str(step["_target_"]).endswith("LoadSecondPhased") for step in cascade["inferer#transforms"])
    for name, parser in trainings.items():
        if "phases" in parser and parser["phases"] != reads:
            raise BundleError(
                f"{name} would be trained on {parser['phases']} contrast phase(s), but the cascade reads {reads}. Give "
                "--config two_phase.json and --cascade-config scnet_two_phase.json together, or neither."
            )


def folds_were_given(out: Path) -> bool | None:
    """Whether the folds of the cross-validation in a folder came as a file; None if it holds none yet."""
    path = out / RUN_FILE
    return bool(json.loads(path.read_text(encoding="utf-8")).get("folds_given")) if path.is_file() else None


def check_files(
    settings: FoldSettings, overrides: Mapping[str, Mapping[str, Any]], cases: Sequence[dict[str, Any]]
) -> None:
    """Refuses data that lack a file that the training of a bundle asks for (`cases#require` of its train.json).

    Args:
        settings: Of the cross-validation.
        overrides: From `settings_by_bundle`.
        cases: From `list_training_cases`.

    Raises:
        TrainingDataError: If a case lacks a file; kept bundles are not trained and need none.
    """
    for bundle in trained_bundles(find_system(settings.system), settings.keep):
        configs = ("train.json", *existing_configs(bundle, settings.configs))
        parser = read_configs(bundle, configs, overrides[bundle])
        require = instantiate(parser, "cases#require") if "cases#require" in parser else ()
        lacking = {str(case["case"]): files for case in cases if (files := lacking_files(case, require))}
        if lacking:
            names = ", ".join(list(lacking)[:3])
            absent = ", ".join(sorted({file for found in lacking.values() for file in found}))
            raise TrainingDataError(
                f"{bundle} cannot be trained on these data: {len(lacking)} of {len(cases)} cases lack {absent} "
                f"({names}). Add the files, or give --keep {bundle} to use it as it comes."
            )


def check_run(out: Path, settings: FoldSettings) -> None:
    """Refuses to go on in a folder that holds another cross-validation.

    Where the folds were given as a file, the settings that would otherwise have made them are not compared.

    Raises:
        OutputError: If its settings differ, or its file is broken.
    """
    path = out / RUN_FILE
    if not path.is_file():
        return
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        earlier = dict(content["settings"])
        ignored = _MAKE_FOLDS if content.get("folds_given") else ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path} is broken ({error}). Give another --out, or remove the folder.") from error
    wanted = settings.content
    differing = [
        f"{key} was {earlier.get(key)!r}, is {value!r}"
        for key, value in wanted.items()
        if key not in ignored and earlier.get(key) != value
    ]
    if differing:
        raise OutputError(
            f"{out} holds a cross-validation with other settings ({'; '.join(differing)}). Give the same settings to "
            "resume it, or another --out."
        )


def write_run(out: Path, settings: FoldSettings, data: Path, given: FoldPlan | None = None) -> None:
    """Writes what the run is, before it starts.

    Args:
        out: Folder of the cross-validation.
        settings: Of the run.
        data: Data folder.
        given: The folds where a file gave them: seed and stratification are recorded as the file has them, the share
            for calibration as unknown (null). None where the settings made them.

    Raises:
        OutputError: If the file cannot be written.
    """
    decided = settings.content
    if given is not None:
        decided |= {"seed": given.seed, "stratify": given.stratify, "calibration_fraction": None}
    content = {
        "settings": decided, "folds_given": given is not None, "data": data.name, "git_revision": git_revision(),
        "versions": versions(),
    }  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / RUN_FILE) as path:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
