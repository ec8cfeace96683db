"""What files decide a training's or a score's outcome, so that changed ones never meet old results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nephro_monai.data import list_training_cases
from nephro_monai.data.fold_plan import dataset_fingerprint
from nephro_monai.engine.bundles import find_bundle, list_bundles
from nephro_monai.engine.cascade import DEFAULT_CASCADE
from nephro_monai.engine.weights import CHECKSUMS, checksum
from nephro_monai.errors import BundleError
from nephro_monai.evaluation.experiment_plan import Training

__all__ = ["score_identity", "training_identity"]


def training_identity(training: Training, values: Mapping[str, Any], pretrained: Mapping[str, str | None]) -> list[Any]:
    """Contents behind a training, ready for JSON.

    Args:
        training: What is trained.
        values: Laid over its configurations.
        pretrained: Files of pretrained weights by name, as the user gives them; None for a library's.

    Returns:
        The configurations of training and inference, what `_bundles` says of every bundle that these name, and the
        SHA-256 of the pretrained files.

    Raises:
        BundleError: If a bundle or a configuration is missing or broken.
    """
    configs = [
        _content(training.bundle, name) for name in ("train.json", "inference.json", *training.configs_of("training"))
    ]
    files = {
        name: checksum(Path(pretrained[name] or ""))
        for name in training.pretrained
        if pretrained.get(name) and Path(pretrained[name] or "").is_file()
    }
    return [configs, _bundles(training.bundle, [configs, dict(values), training.colorizer]), files]


def score_identity(score: Mapping[str, Any], real: Path | None = None) -> list[Any]:
    """Contents behind a scorer beyond those of its trainings: the cascade's and of the real cases, where it runs one.

    Raises:
        BundleError: If a configuration is missing or broken.
    """
    if score.get("kind") != "cascade":
        return []
    configs = [_content(DEFAULT_CASCADE, name) for name in score["configs"]]
    own = [configs, _bundles(DEFAULT_CASCADE, configs)]
    return own if real is None else [*own, dataset_fingerprint(list_training_cases(real))]


def _content(bundle: str, name: str) -> Any:
    """A configuration, inside the bundle or by path; None for an inference.json that a bundle does not have."""
    inside = find_bundle(bundle) / "configs" / name
    path = inside if inside.is_file() else Path(name)
    if name == "inference.json" and not inside.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} of {bundle} cannot be read as JSON ({error}). Restore it.") from error


def _bundles(bundle: str, content: Any) -> dict[str, Any]:
    """`inference.json` and `SHA256SUMS` of a bundle, of the shipped ones that a content names, and of those they do."""
    found: dict[str, Any] = {}
    waiting = [bundle, *_named(content)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            sums = find_bundle(name) / "models" / CHECKSUMS
            found[name] = [
                _content(name, "inference.json"), sums.read_text(encoding="utf-8") if sums.is_file() else "",
            ]  # fmt: skip
            waiting += _named(found[name][0])
    return found


def _named(content: Any) -> list[str]:
    text = json.dumps(content)
    return [name for name in list_bundles() if name in text]
