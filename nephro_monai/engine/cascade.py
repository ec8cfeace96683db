"""Builds the cascade from its bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.transforms import Compose

from nephro_monai.engine.bundles import instantiate, override, read_configs
from nephro_monai.errors import BundleError

__all__ = ["DEFAULT_CASCADE", "cascade_parser", "load_cascade"]

DEFAULT_CASCADE = "nephro_cascade"


def cascade_parser(
    bundle: str | Path = DEFAULT_CASCADE,
    configs: Sequence[str | Path] = (),
    overrides: Mapping[str, Any] | None = None,
) -> ConfigParser:
    """The cascade's `inference.json` with further configurations and overrides laid over it.

    Raises:
        BundleError: If the bundle is not a cascade (it has no `inferer` of stages and no `writers`).
    """
    parser = read_configs(bundle, ("inference.json", *configs))
    missing = [key for key in ("inferer", "writers", "evaluator") if key not in parser]
    if missing:
        raise BundleError(
            f"{bundle} is not a cascade: its inference.json lacks {', '.join(missing)}. Give nephro_cascade, or a "
            "bundle made like it; a single network's bundle runs with `python -m monai.bundle run`."
        )
    return override(parser, bundle, overrides)


def load_cascade(
    bundle: str | Path = DEFAULT_CASCADE,
    device: str = "auto",
    configs: Sequence[str | Path] = (),
    overrides: Mapping[str, Any] | None = None,
) -> Compose:
    """The whole journey, from reading to the vote, as one `Compose`; it writes nothing.

    Args:
        bundle: Name or path of a cascade bundle.
        device: auto, cpu or cuda.
        configs: Further configurations laid over `inference.json`, such as `full_size.json`.
        overrides: New values for single ids.

    Returns:
        A transform that takes `{"image": path}` and returns the case dictionary: `image`, `scan`, `kidneys`,
        `segmentation`, `kidney_findings`, `tumors`, `tumor_slices`, `colorized_slices`, `slice_probabilities`,
        `slice_votes` and `diagnosis`.

    Raises:
        BundleError: If the bundle is missing, broken or no cascade.
        WeightsError: If weights are missing or altered.
    """
    parser = cascade_parser(bundle, configs, {"device_name": device, **(overrides or {})})
    journey: Compose = instantiate(parser, "inferer")
    return journey
