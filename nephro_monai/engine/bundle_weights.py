"""Other weights for the networks that a configuration loads from bundles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle.reference_resolver import ReferenceResolver

from nephro_monai.engine.bundles import find_bundle, read_configs
from nephro_monai.errors import BundleError

__all__ = ["BundleWeights", "check_configs", "existing_configs", "network_overrides", "weight_overrides"]

_LOADER = "load_bundle_network"
_NETWORK = ("network_def", "inferer#settings#grid")


@dataclass(frozen=True)
class BundleWeights:
    """Weights of a bundle and what its network must look like for them.

    Attributes:
        path: Weight file, absolute.
        configs: Configurations laid over the bundle's inference.json, such as "full_size.json".
        overrides: New values by id of its inference.json.
    """

    path: Path
    configs: tuple[str, ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)


def weight_overrides(parser: ConfigParser, weights: Mapping[str, BundleWeights]) -> dict[str, Any]:
    """Overrides that make a configuration load its bundles' networks with these weights.

    Every entry of `load_bundle_network` whose bundle is listed gets the weights, wherever it is: the stages of a
    cascade, the colorizer in a classifier's train.json. Where a bundle gives several networks, such as V-Nets of two
    spacings, those with the first one's configurations and weights do; the others keep theirs.

    Args:
        parser: The configuration.
        weights: By name of bundle; networks of other bundles keep theirs.

    Returns:
        New values by id, for `read_configs` and `TrainOptions`.
    """
    overrides: dict[str, Any] = {}
    first: dict[str, tuple[list[str], Any]] = {}
    for key, entry in _loaders(parser.get(), ""):
        bundle = Path(str(_resolved(parser, entry.get("bundle")))).name
        configs = _resolved(parser, entry.get("configs")) or ["inference.json"]
        network = (configs, _resolved(parser, entry.get("weights")))
        chosen = weights.get(bundle)
        if chosen is None or first.setdefault(bundle, network) != network:
            continue
        changed = {**entry, "weights": str(chosen.path), "configs": [*configs, *chosen.configs]}
        if chosen.overrides:
            changed["overrides"] = {**(_resolved(parser, entry.get("overrides")) or {}), **chosen.overrides}
        overrides[key] = changed
    return overrides


def network_overrides(bundle: str | Path, configs: tuple[str, ...], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Those overrides of a training that change the network or its grid, so that inference has the same ones.

    They are the ids of `network_def`, those of the grid that scans are brought to (`inferer#settings#grid`, where there
    is one), and those that these refer to, such as "window_hu" for "@window_hu".

    Args:
        bundle: Name or path.
        configs: Configurations laid over inference.json.
        overrides: Of train.json, by id.
    """
    parser = read_configs(bundle, ("inference.json", *configs))
    used: set[str] = set()
    for key in _NETWORK:
        _used_ids(parser, key, used)
    return {key: value for key, value in overrides.items() if key in parser and _touches(key, used)}


def existing_configs(bundle: str | Path, configs: tuple[str, ...]) -> tuple[str, ...]:
    """Those of some configurations that a bundle has; paths to files always are."""
    folder = find_bundle(bundle) / "configs"
    return tuple(name for name in configs if (folder / name).is_file() or Path(name).is_file())


def check_configs(bundles: Sequence[str], configs: Sequence[str]) -> None:
    """Refuses configurations that none of some bundles has.

    Raises:
        BundleError: If there is one; it says which the bundles have.
    """
    unknown = [name for name in configs if not any(existing_configs(bundle, (name,)) for bundle in bundles)]
    if unknown:
        known = sorted({path.name for bundle in bundles for path in (find_bundle(bundle) / "configs").glob("*.json")})
        raise BundleError(
            f"No trained bundle has the configuration {', '.join(unknown)}. {', '.join(bundles)} have "
            f"{', '.join(known)}. Give one of these, or the path of a file."
        )


def _used_ids(parser: ConfigParser, key: str, found: set[str]) -> set[str]:
    """An id and those that it refers to, directly or through others."""
    if key not in found and key in parser:
        found.add(key)
        for reference in ReferenceResolver.find_refs_in_config(parser[key], key):
            _used_ids(parser, reference.replace("::", "#"), found)
    return found


def _touches(key: str, used: set[str]) -> bool:
    """Whether an id is one of those, holds one, or is inside of one."""
    return any(f"{one}#".startswith(f"{key}#") or key.startswith(f"{one}#") for one in used)


def _loaders(config: Any, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Ids and entries of every call of `load_bundle_network`."""
    if isinstance(config, dict):
        if str(config.get("_target_", "")).rpartition(".")[2] == _LOADER:
            yield key, config
            return
        items: Any = config.items()
    elif isinstance(config, list):
        items = enumerate(config)
    else:
        return
    for name, value in items:
        yield from _loaders(value, f"{key}#{name}" if key else str(name))


def _resolved(parser: ConfigParser, value: Any) -> Any:
    """What a plain reference such as "@image_bundle" stands for."""
    while isinstance(value, str) and value.startswith("@") and value[1:] in parser:
        value = parser[value[1:]]
    return value
