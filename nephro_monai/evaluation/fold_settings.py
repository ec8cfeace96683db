"""What a cross-validation runs with, and the file that says so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nephro_monai.data.fold_plan import Stratify
from nephro_monai.engine.bundle_weights import existing_configs
from nephro_monai.engine.bundles import parse_overrides, read_configs
from nephro_monai.engine.cascade import cascade_parser
from nephro_monai.engine.environment import git_revision, versions
from nephro_monai.errors import BundleError, OutputError
from nephro_monai.io.atomic import atomic_path
from nephro_monai.systems import System, find_system

__all__ = ["RUN_FILE", "FoldSettings", "check_run", "kept_bundles", "settings_by_bundle", "write_run"]

RUN_FILE = "cross_validation.json"
"""In the output folder: the settings of the run, for whoever resumes it or predicts with its folds."""

BORROWED = "borrowed"
CASCADE = "nephro_cascade"


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


def settings_by_bundle(settings: FoldSettings) -> dict[str, dict[str, Any]]:
    """New values by id for every trained bundle's train.json and for the cascade.

    Raises:
        BundleError: If a setting names an unknown bundle, or an id that no train.json has.
    """
    system = find_system(settings.system)
    trained = [name for name in system.bundles if name not in kept_bundles(system, settings.keep)]
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
    return found


def check_run(out: Path, settings: FoldSettings) -> None:
    """Refuses to go on in a folder that holds another cross-validation.

    Raises:
        OutputError: If its settings differ, or its file is broken.
    """
    path = out / RUN_FILE
    if not path.is_file():
        return
    try:
        earlier = dict(json.loads(path.read_text(encoding="utf-8"))["settings"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path} is broken ({error}). Give another --out, or remove the folder.") from error
    wanted = settings.content
    differing = [f"{k} was {earlier.get(k)!r}, is {wanted.get(k)!r}" for k in wanted if earlier.get(k) != wanted[k]]
    if differing:
        raise OutputError(
            f"{out} holds a cross-validation with other settings ({'; '.join(differing)}). Give the same settings to "
            "resume it, or another --out."
        )


def write_run(out: Path, settings: FoldSettings, data: Path) -> None:
    """Writes what the run is, before it starts.

    Raises:
        OutputError: If the file cannot be written.
    """
    content = {"settings": settings.content, "data": data.name, "git_revision": git_revision(), "versions": versions()}
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / RUN_FILE) as path:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
