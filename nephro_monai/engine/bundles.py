"""Finds bundles and reads their configurations."""

from __future__ import annotations

import difflib
import inspect
import json
import pydoc
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle.utils import merge_kv

from nephro_monai.errors import BundleError, NephroError

__all__ = [
    "bundle_root",
    "find_bundle",
    "instantiate",
    "list_bundles",
    "override",
    "parse_overrides",
    "read_configs",
    "read_metadata",
]

_PACKAGE = Path(__file__).resolve().parents[1]
_OF_A_RUN = {"imports", "initialize", "run", "finalize", "_meta_"}


def _bundles_folder() -> Path:
    """`bundles/` inside an installed wheel, else beside the package in a source checkout."""
    installed = _PACKAGE / "bundles"
    return installed if installed.is_dir() else _PACKAGE.parent / "bundles"


def list_bundles() -> list[str]:
    """Names of the bundles that come with this package, sorted."""
    return sorted(path.parents[1].name for path in _bundles_folder().glob("*/configs/metadata.json"))


def find_bundle(name_or_path: str | Path) -> Path:
    """Folder of a bundle, by the name of one that comes with the package or by path.

    Raises:
        BundleError: If there is no such bundle, or the folder holds no `configs/metadata.json`.
    """
    for folder in (_bundles_folder() / str(name_or_path), Path(name_or_path)):
        if (folder / "configs" / "metadata.json").is_file():
            return folder.resolve()
    raise BundleError(
        f"No bundle '{name_or_path}': neither one of {', '.join(list_bundles()) or '(none installed)'} "
        "nor a folder with configs/metadata.json. Give one of these names or the path of a bundle's folder."
    )


def bundle_root(name: str) -> str:
    """`find_bundle` as a string, for the `bundle_root` of a bundle's JSON: right from any working directory."""
    return str(find_bundle(name))


def read_metadata(bundle: str | Path) -> dict[str, Any]:
    """`configs/metadata.json` of a bundle."""
    path = find_bundle(bundle) / "configs" / "metadata.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except json.JSONDecodeError as error:
        raise BundleError(f"{path} is not valid JSON ({error}). Restore it from the package.") from error


def read_configs(
    bundle: str | Path,
    configs: Sequence[str | Path] = ("inference.json",),
    overrides: Mapping[str, Any] | None = None,
) -> ConfigParser:
    """Reads a bundle's configurations, later ones over earlier ones, and overrides single ids.

    Args:
        bundle: Name or path.
        configs: File names inside the bundle's `configs/`, or paths.
        overrides: New values by id, such as `{"trainer#max_epochs": 2}`; see `override`.

    Raises:
        BundleError: If a file is missing or broken, an id does not exist, or a file of the user's names an id
            that the bundle does not have and nothing refers to.
    """
    root = find_bundle(bundle)
    parser = ConfigParser()
    parser.read_meta(str(root / "configs" / "metadata.json"))
    config: dict[str, Any] = {}
    for name in configs:
        inside = root / "configs" / name
        path = inside if inside.is_file() else Path(name)
        if not path.is_file():
            known = ", ".join(sorted(p.name for p in (root / "configs").glob("*.json")))
            raise BundleError(f"No configuration '{name}' in {root.name}; it has {known}. Give one or a path.")
        try:
            loaded = ConfigParser.load_config_file(str(path))
        except ValueError as error:
            raise BundleError(f"{path} is not valid JSON ({error}).") from error
        before = set(config)
        try:
            config = _merged(config, loaded)
        except KeyError as error:
            raise BundleError(f"{path} sets a value inside of what no file before it has ({error}).") from error
        if before and path.parent != root / "configs":
            _refuse_strays(path, root.name, loaded, before | _ids_of(root), config)
    parser.update(config)
    return override(parser, root, overrides)


def override(parser: ConfigParser, bundle: str | Path, overrides: Mapping[str, Any] | None) -> ConfigParser:
    """Sets new values for single ids of a bundle's configuration, in place.

    An id exists, or is an argument that an entry takes and the configuration leaves to its default, such as
    "segmenter#weights" where the entry "segmenter" calls `load_bundle_network`.

    Raises:
        BundleError: If an id does not exist.
    """
    for key, value in (overrides or {}).items():
        if key not in parser and not _is_argument(parser, key):
            choices = ", ".join(k for k in parser.get() if k not in ("_meta_", "imports"))
            raise BundleError(f"{Path(bundle).name} has no id '{key}' to set. Its top-level ids are: {choices}.")
        parser[key] = value
    return parser


def _ids_of(root: Path) -> set[str]:
    """Top-level ids of a bundle's training and inference; a file laid over one may hold some of the other's."""
    files = [root / "configs" / name for name in ("train.json", "inference.json")]
    return {key for file in files if file.is_file() for key in ConfigParser.load_config_file(str(file))}


def _refuse_strays(path: Path, bundle: str, loaded: Mapping[str, Any], known: set[str], merged: Any) -> None:
    """Refuses an id that would change nothing, such as a misspelled one."""
    names = {key.lstrip("+").partition("#")[0] for key in loaded} - known - _OF_A_RUN
    said = json.dumps(merged)
    for name in sorted(names):
        if not re.search(rf"[@%]{re.escape(name)}\b", said):
            close = difflib.get_close_matches(name, known, 1)
            meant = f" Did you mean '{close[0]}'?" if close else f" It has {', '.join(sorted(known))}."
            raise BundleError(f"{path} sets '{name}', which {bundle} does not have.{meant}")


def _is_argument(parser: ConfigParser, key: str) -> bool:
    """Whether an id names a parameter of what its entry calls by full path."""
    entry, _, name = key.rpartition("#")
    config = parser.get(entry) if entry else None
    target = pydoc.locate(str(config["_target_"])) if isinstance(config, dict) and "_target_" in config else None
    return callable(target) and name in inspect.signature(target).parameters


def _merged(config: dict[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Lays an override file over a configuration, as `monai.bundle run` does with a list of files.

    `a#b` ids set values inside, `+a` adds to a list or a dictionary, other ids replace.
    """
    parser = ConfigParser(config)
    for key, value in override.items():
        merge_kv(parser, key, value)
    merged = dict(parser.get())
    merged.pop("_meta_", None)
    return merged


def parse_overrides(settings: Sequence[str]) -> dict[str, Any]:
    """`["trainer#max_epochs=2", "name=text"]` as a dictionary; values are JSON, or text where they are not.

    Raises:
        BundleError: If a setting is not of the form `id=value`.
    """
    overrides: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise BundleError(f"'{setting}' is not a setting; write id=value, such as train#trainer#max_epochs=2.")
        try:
            overrides[key] = json.loads(value)
        except json.JSONDecodeError:
            overrides[key] = value
    return overrides


def instantiate(parser: ConfigParser, key: str) -> Any:
    """The object behind an id; an error of ours inside comes out as it is, not wrapped by MONAI's parser.

    Raises:
        NephroError: Whatever of ours was raised while the object was made.
        BundleError: If a value of the configuration is not of use.
        RuntimeError: If it cannot be made for another reason.
    """
    try:
        return parser.get_parsed_content(key)
    except RuntimeError as error:
        causes: list[BaseException] = [error]
        while causes[-1].__cause__ is not None:
            causes.append(causes[-1].__cause__)
        ours = next((cause for cause in causes if isinstance(cause, NephroError)), None)
        if ours is not None:
            raise ours from None
        if isinstance(causes[-1], ValueError | TypeError):
            raise BundleError(f"{causes[-1]} (in '{key}' of the configuration; check its values)") from error
        raise
