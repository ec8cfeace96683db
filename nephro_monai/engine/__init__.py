"""Finds a bundle, loads its network and weights, builds its workflow, runs cases."""

from __future__ import annotations

from nephro_monai.engine.bundles import (
    bundle_root,
    find_bundle,
    instantiate,
    list_bundles,
    parse_overrides,
    read_configs,
    read_metadata,
)
from nephro_monai.engine.cascade import DEFAULT_CASCADE, cascade_parser, load_cascade
from nephro_monai.engine.environment import git_revision, resolve_device, versions
from nephro_monai.engine.fold_ensemble import RunFoldsd
from nephro_monai.engine.runner import CaseOutcome, CaseRunner, RunOptions
from nephro_monai.engine.weights import (
    Provenance,
    bundle_content,
    install_weights,
    load_bundle_network,
    load_weights,
    provenance,
)

__all__ = [
    "DEFAULT_CASCADE",
    "CaseOutcome",
    "CaseRunner",
    "Provenance",
    "RunFoldsd",
    "RunOptions",
    "bundle_content",
    "bundle_root",
    "cascade_parser",
    "find_bundle",
    "git_revision",
    "install_weights",
    "instantiate",
    "list_bundles",
    "load_bundle_network",
    "load_cascade",
    "load_weights",
    "parse_overrides",
    "provenance",
    "read_configs",
    "read_metadata",
    "resolve_device",
    "versions",
]
