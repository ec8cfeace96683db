"""Loads a bundle's network with weights whose checksum is verified."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from nephro_monai.engine.bundles import find_bundle, instantiate, read_configs, read_metadata
from nephro_monai.errors import BundleError, OutputError, WeightsError
from nephro_monai.io.atomic import atomic_path

__all__ = [
    "Provenance",
    "bundle_content",
    "checksum",
    "install_weights",
    "load_bundle_network",
    "load_weights",
    "provenance",
    "verified_checksum",
]

CHECKSUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Provenance:
    """Which bundle and which weights a network came from.

    Attributes:
        bundle: Name of the bundle.
        version: From its metadata.
        weights: File that was loaded.
        sha256: Its checksum.
        shipped: Whether the checksum is listed in the bundle, so that its metadata describes these weights.
        trained_on: What the metadata says of shipped weights; "not known" for others.
    """

    bundle: str
    version: str
    weights: str
    sha256: str
    shipped: bool
    trained_on: str


def checksum(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _listed_checksums(models: Path) -> dict[str, str]:
    """`models/SHA256SUMS` (the format of sha256sum) as a dictionary from file name to checksum."""
    path = models / CHECKSUMS
    if not path.is_file():
        return {}
    rows = (line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return {name.strip().lstrip("*"): digest for digest, name in rows}


def verified_checksum(path: Path) -> tuple[str, bool]:
    """SHA-256 of a weight file, and whether the list beside it names the file.

    Raises:
        WeightsError: If the list gives another checksum.
    """
    digest = checksum(path)
    listed = _listed_checksums(path.parent).get(path.name)
    if listed is not None and listed != digest:
        raise WeightsError(
            f"{path} was altered: its SHA-256 is {digest[:16]}..., {CHECKSUMS} says {listed[:16]}.... "
            "Restore it from the package, or register new weights with `nephro install-weights`."
        )
    return digest, listed is not None


def load_weights(network: torch.nn.Module, path: Path) -> None:
    """Loads a plain `state_dict` strictly; half precision on disk becomes the network's own precision.

    Raises:
        WeightsError: If the file is no weight file or does not fit the network.
    """
    state = _read_state(path)
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise WeightsError(
            f"{path} does not fit the network ({_first_line(error)}). Use the weights and the configuration "
            "(for example full_size.json) that belong together."
        ) from error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300] if lines else type(error).__name__


def load_bundle_network(
    bundle: str | Path,
    device: str | torch.device = "cpu",
    configs: Sequence[str] = ("inference.json",),
    weights: str = "models/model.pt",
    overrides: Mapping[str, Any] | None = None,
) -> torch.nn.Module:
    """A bundle's `network_def` with its weights, in evaluation mode on a device.

    Args:
        bundle: Name or path of the bundle.
        device: Where the network is wanted.
        configs: Configurations that describe the network, later ones over earlier ones.
        weights: File, relative to the bundle or a path of its own.
        overrides: New values for single ids of the configuration.

    Returns:
        The network; its attribute `provenance` says where it came from, `configuration` is what it was made with (see
        `bundle_content`).

    Raises:
        BundleError: If the bundle is missing or broken.
        WeightsError: If the weights are missing, altered or do not fit.
    """
    root = find_bundle(bundle)
    path = Path(weights) if Path(weights).is_absolute() else root / weights
    if not path.is_file():
        raise WeightsError(
            f"The weights of {root.name} are missing: {path}. Reinstall the package, make them with "
            f"`nephro train {root.name} --data DIR` and `nephro install-weights`, or name another file."
        )
    digest, listed = verified_checksum(path)
    parser = read_configs(root, configs, overrides)
    network = instantiate(parser, "network_def")
    if not isinstance(network, torch.nn.Module):
        raise BundleError(f"network_def of {root.name} is {type(network).__name__}, not a torch module.")
    load_weights(network, path)
    metadata = read_metadata(root)
    trained_on = str(metadata.get("trained_on", "not known")) if listed else "not known"
    network.provenance = Provenance(  # type: ignore[assignment]
        bundle=root.name, version=str(metadata["version"]), weights=str(Path(weights)), sha256=digest,
        shipped=listed, trained_on=trained_on,
    )  # fmt: skip
    # An override may be the network itself, which must not hold itself.
    made_with = {
        key: value for key, value in parser.get().items() if key != "_meta_" and not isinstance(value, torch.nn.Module)
    }
    network.configuration = made_with  # type: ignore[assignment]
    return network.eval().to(device)


def bundle_content(network: torch.nn.Module | None, key: str) -> Any:
    """What an id stands for in the configuration of the bundle that a network was loaded from.

    So a cascade brings scans before a network as its bundle does, with the same configurations and overrides.

    Args:
        network: From `load_bundle_network`.
        key: For example "inferer#settings#grid".

    Raises:
        BundleError: If there is no network, it comes from elsewhere, or its bundle has no such id.
    """
    parser = ConfigParser(dict(getattr(network, "configuration", {})))
    if key not in parser:
        source = getattr(network, "provenance", None)
        if network is None:
            raise BundleError(
                f"There is no network to read '{key}' of: its id is null, and something else refers to it. Of "
                "nephro_cascade, one_vnet.json leaves the coarser V-Net out."
            )
        name = source.bundle if isinstance(source, Provenance) else type(network).__name__
        raise BundleError(f"{name} has no id '{key}' to read. Add it to its inference.json, or give the value itself.")
    return instantiate(parser, key)


def provenance(networks: Mapping[str, torch.nn.Module] | torch.nn.ModuleDict) -> dict[str, dict[str, Any]]:
    """Bundle, version, checksum and training data of each stage's network, for results and reports."""
    return {
        stage: vars(network.provenance)
        for stage, network in networks.items()
        if isinstance(getattr(network, "provenance", None), Provenance)
    }


def _halved(value: torch.Tensor) -> torch.Tensor:
    """A tensor in half precision; as it is where that would overflow (running variances can)."""
    if not value.is_floating_point():
        return value
    half = value.half()
    return half if torch.isfinite(half).all() else value


def _read_state(path: Path) -> Mapping[str, torch.Tensor]:
    """A plain `state_dict` from a file."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"{path} is not a readable weight file. Fetch or make it again.") from error
    if not isinstance(state, Mapping) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise WeightsError(f"{path} must hold a plain state_dict of tensors, got {type(state).__name__}.")
    return state


def _refuse_another_network(state: Mapping[str, torch.Tensor], source: Path, bundle: Path) -> None:
    """Other widths may be meant for another configuration; no name in common is another network."""
    network: torch.nn.Module = instantiate(read_configs(bundle, ("inference.json",)), "network_def")
    if not set(state) & set(network.state_dict()):
        raise WeightsError(
            f"{source} holds {next(iter(state), 'nothing')}, ...: no tensor of {bundle.name}'s network is called so. "
            "Name the bundle that it was trained with; nothing was changed."
        )


def install_weights(trained: Path, bundle: str | Path, name: str = "model.pt", half: bool = True) -> Path:
    """Puts trained weights into a bundle, in half precision, and lists their checksum.

    Args:
        trained: A `state_dict` as training writes it, or the run's folder with `model.pt` in it.
        bundle: Name or path of the bundle.
        name: File name inside the bundle's `models/`.
        half: Whether floating-point tensors are stored in half precision (where their values allow it).

    Returns:
        The installed file.

    Raises:
        WeightsError: If the file is missing, unreadable, holds values that are not finite, or is to become the
            `model.pt` of a bundle whose network shares no tensor's name with it.
        OutputError: If the bundle's folder cannot be written.
    """
    source = trained / "model.pt" if trained.is_dir() else trained
    if not source.is_file():
        raise WeightsError(f"No trained weights at {source}. Give the folder that `nephro train` wrote.")
    state = _read_state(source)
    if name == "model.pt":
        _refuse_another_network(state, source, find_bundle(bundle))
    broken = [k for k, v in state.items() if v.is_floating_point() and not torch.isfinite(v).all()]
    if broken:
        raise WeightsError(f"{source} holds values that are not finite in {', '.join(broken[:3])}; train again.")
    if half:
        state = {k: _halved(v) for k, v in state.items()}
    models = find_bundle(bundle) / "models"
    try:
        models.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{models} cannot be made ({error.strerror}).") from error
    with atomic_path(models / name) as temporary:
        torch.save(state, temporary)
    sums = {**_listed_checksums(models), name: checksum(models / name)}
    with atomic_path(models / CHECKSUMS) as temporary:
        temporary.write_text("".join(f"{d}  {n}\n" for n, d in sorted(sums.items())), encoding="utf-8")
    return models / name
