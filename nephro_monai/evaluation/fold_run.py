"""One fold of a cross-validation: trains, calibrates, predicts; every step that is complete is skipped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nephro_monai.data.fold_plan import PlannedFold
from nephro_monai.engine.bundle_weights import BundleWeights, existing_configs, network_overrides, weight_overrides
from nephro_monai.engine.bundles import instantiate, read_configs
from nephro_monai.engine.cascade import cascade_parser
from nephro_monai.engine.manifest import CASE_FILES, is_done
from nephro_monai.engine.train import TrainOptions, train_bundle
from nephro_monai.engine.weights import checksum
from nephro_monai.errors import TrainingDataError
from nephro_monai.evaluation.fold_calibration import calibrate_fold
from nephro_monai.evaluation.fold_settings import CASCADE, FoldSettings, settings_by_bundle
from nephro_monai.io.atomic import atomic_path
from nephro_monai.structures import Calibration
from nephro_monai.systems import System, find_system

__all__ = ["CASCADE_FILE", "UNCALIBRATED_FILE", "FoldJob", "fold_folder", "run_fold"]

CASCADE_FILE = "cascade.json"
"""In a fold's folder: the cascade's configuration with the fold's weights and calibration, for `nephro predict`."""

UNCALIBRATED_FILE = "uncalibrated_cascade.json"
"""In a fold's folder: the same without the calibration, which is fitted on its predictions."""

OVERLAY_DIGEST_FILE = "cascade.sha256"
"""Beside the predictions: digest of the weights and the calibration that they were made with."""

Report = Callable[[str], None]


@dataclass(frozen=True)
class FoldJob:
    """What a fold needs to know; it can travel to another process.

    Attributes:
        index: Which fold, from 0.
        fold: Its cases.
        data: Data folder in KiTS19's layout.
        images: Path of the scan by case.
        malignant: The truth by case.
        out: The cross-validation's folder.
        settings: Of the cross-validation.
        progress: Whether bars of training and prediction are drawn.
    """

    index: int
    fold: PlannedFold
    data: Path
    images: Mapping[str, str]
    malignant: Mapping[str, bool | None]
    out: Path
    settings: FoldSettings
    progress: bool = True

    @property
    def folder(self) -> Path:
        """Where all of the fold goes."""
        return fold_folder(self.out, self.index)

    @property
    def system(self) -> System:
        """The system that is cross-validated."""
        return find_system(self.settings.system)


def fold_folder(out: Path, index: int) -> Path:
    """Folder of a fold."""
    return out / f"fold_{index}"


def run_fold(job: FoldJob, device: str, report: Report) -> None:
    """Trains the fold's networks, calibrates the verdict and predicts the held-out cases.

    Args:
        job: The fold.
        device: "cpu" or "cuda".
        report: Told what happens, one line each.

    Raises:
        NephroError: If a training or the cascade cannot run.
    """
    own = settings_by_bundle(job.settings)
    weights: dict[str, BundleWeights] = {}
    for bundle in job.system.bundles:
        if bundle in own:
            weights[bundle] = _train(job, bundle, own[bundle], weights, device, report)
    calibration = None
    if "classification" in job.system.tasks and job.fold.calibration:
        overlay = _write_cascade(job, weights, None, UNCALIBRATED_FILE)
        _predict(job, "calibration", overlay, device, report)
        calibration = calibrate_fold(
            job.folder / "calibration", job.fold.calibration, job.malignant, job.settings.sensitivity
        )
        report(f"fold {job.index}: {calibration.text}")
    overlay = _write_cascade(job, weights, None if calibration is None else calibration.calibration, CASCADE_FILE)
    _predict(job, "predictions", overlay, device, report)


def _train(
    job: FoldJob,
    bundle: str,
    overrides: Mapping[str, Any],
    weights: Mapping[str, BundleWeights],
    device: str,
    report: Report,
) -> BundleWeights:
    out = job.folder / "training" / bundle
    configs = existing_configs(bundle, job.settings.configs)
    result = BundleWeights((out / "model.pt").resolve(), configs, network_overrides(bundle, configs, overrides))
    if _is_trained(out):
        report(f"fold {job.index}: {bundle} is trained")
        return result
    resume = (out / "checkpoints" / "last.ckpt").is_file()
    report(f"fold {job.index}: {'goes on training' if resume else 'trains'} {bundle}")
    split = {
        "_target_": "nephro_monai.data.named_split", "cases": "@cases",
        "training": list(job.fold.training), "validation": list(job.fold.calibration),
    }  # fmt: skip
    borrowed = weight_overrides(read_configs(bundle, ("train.json", *configs), overrides), weights)
    settings = {"split": split, "progress": job.progress, **borrowed, **overrides}
    options = TrainOptions(job.data, out, device, resume=resume, configs=configs, overrides=settings)
    try:
        train_bundle(bundle, options)
    except TrainingDataError as error:
        raise TrainingDataError(
            f"{bundle} cannot be trained in fold {job.index}: {error} (--keep {bundle} uses it as it comes.)"
        ) from error
    with atomic_path(out / "trained.json") as path:
        path.write_text(json.dumps({"sha256": checksum(out / "model.pt")}) + "\n", encoding="utf-8")
    return result


def _is_trained(out: Path) -> bool:
    """Whether the training came to its end and its weights are as it left them."""
    try:
        digest = json.loads((out / "trained.json").read_text(encoding="utf-8"))["sha256"]
        return bool(digest == checksum(out / "model.pt"))
    except (OSError, ValueError, KeyError, TypeError):
        return False


@dataclass(frozen=True)
class _Overlay:
    """A configuration laid over the system's, and the digest of what it stands for."""

    path: Path
    digest: str


def _write_cascade(
    job: FoldJob, weights: Mapping[str, BundleWeights], calibration: Calibration | None, name: str
) -> _Overlay:
    parser = cascade_parser(configs=(job.system.configuration, *job.settings.cascade_configs))
    # With the settings of the prediction, so that `nephro predict` with the fold repeats it.
    content: dict[str, Any] = {**weight_overrides(parser, weights), **settings_by_bundle(job.settings)[CASCADE]}
    if calibration is not None:
        content["calibration"] = {"_target_": "nephro_monai.structures.Calibration", **asdict(calibration)}
    with atomic_path(job.folder / name) as path:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return _Overlay(job.folder / name, _digest(content, [chosen.path for chosen in weights.values()]))


def _digest(content: Mapping[str, Any], weights: Sequence[Path]) -> str:
    """Of an overlay, with the checksum of each weight file in place of its path."""
    text = json.dumps(content, sort_keys=True)
    for path in weights:
        text = text.replace(json.dumps(str(path)), json.dumps(checksum(path)))
    return hashlib.sha256(text.encode()).hexdigest()


def _discard_outdated(folder: Path, cases: Sequence[str], digest: str) -> list[str]:
    """Takes away predictions that were made with another overlay, or with one that is not known.

    Returns:
        Names of the cases that have to be predicted anew.
    """
    path = folder / OVERLAY_DIGEST_FILE
    if path.is_file() and path.read_text(encoding="utf-8").strip() == digest:
        return []
    outdated = [case for case in cases if is_done(folder / case)]
    for case in cases:
        for name in reversed(CASE_FILES):  # the one that marks a case as done first
            (folder / case / name).unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(digest + "\n", encoding="utf-8")
    return outdated


def _predict(job: FoldJob, name: str, overlay: _Overlay, device: str, report: Report) -> None:
    folder = job.folder / name
    cases = job.fold.calibration if name == "calibration" else job.fold.test
    what = "calibration cases" if name == "calibration" else "held-out cases"
    if outdated := _discard_outdated(folder, cases, overlay.digest):
        report(f"fold {job.index}: {len(outdated)} {what} were predicted with other weights or another calibration")
    if all(is_done(folder / case) for case in cases):
        report(f"fold {job.index}: {len(cases)} {what} are predicted")
        return
    report(f"fold {job.index}: predicts {len(cases)} {what}")
    configs = (job.system.configuration, *job.settings.cascade_configs, str(overlay.path))
    parser = cascade_parser(configs=configs, overrides={
        "device_name": device, "inputs": [job.images[case] for case in cases], "output_dir": str(folder),
    })  # fmt: skip
    runner = instantiate(parser, "evaluator")
    if not job.progress:
        runner.quiet()
    failed = [outcome for outcome in runner.run() if outcome.status == "failed"]
    for outcome in failed:
        report(f"fold {job.index}: {outcome.case.name} failed: {outcome.reason}")
