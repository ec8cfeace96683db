"""What the networks of a run were trained on, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nephro_monai.constants import SYNTHETIC_NOTICE

__all__ = ["training_notice"]


def training_notice(provenance: Mapping[str, Any]) -> str:
    """The notice for synthetic training, unless a network says that it was trained on something else.

    Args:
        provenance: By stage, a mapping with the bundle's name and `trained_on`.
    """
    networks = [entry for entry in provenance.values() if isinstance(entry, Mapping) and "trained_on" in entry]
    others = [entry for entry in networks if "synthetic" not in str(entry["trained_on"]).lower()]
    if not others:
        return SYNTHETIC_NOTICE
    return "Trained on: " + "; ".join(f"{e.get('bundle', 'network')}: {e['trained_on']}" for e in networks) + "."
