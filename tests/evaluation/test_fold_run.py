"""What a fold of a cross-validation keeps of an earlier run; no training, no prediction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nephro_monai.data import PlannedFold
from nephro_monai.engine.bundle_weights import BundleWeights
from nephro_monai.engine.cascade import cascade_parser
from nephro_monai.engine.manifest import CASE_FILES, is_done
from nephro_monai.evaluation import fold_run
from nephro_monai.evaluation.fold_run import FoldJob
from nephro_monai.evaluation.fold_settings import FoldSettings
from nephro_monai.structures import Calibration

VNET = "kidney_tumor_ct_segmentation_vnet"


@pytest.fixture
def job(tmp_path: Path) -> FoldJob:
    """Fold 0 of a run, with two held-out cases that look predicted."""
    fold = PlannedFold(("case_00000", "case_00001"), ("case_00002",), ())
    job = FoldJob(0, fold, tmp_path / "data", {}, {}, tmp_path, FoldSettings("faster_rcnn_vnet", folds=2), False)
    for case in fold.test:
        (job.folder / "predictions" / case).mkdir(parents=True)
        for name in CASE_FILES:
            (job.folder / "predictions" / case / name).write_text("synthetic")
    return job


def weights(folder: Path, content: str) -> dict[str, BundleWeights]:
    folder.mkdir(exist_ok=True)
    (folder / "model.pt").write_text(content)
    return {VNET: BundleWeights(folder / "model.pt")}


def test_digest_is_of_weights_and_calibration_wherever_they_are(job, tmp_path):
    def digest(content: str, calibration: Calibration | None = None, folder: str = "a") -> str:
        return fold_run._write_cascade(job, weights(tmp_path / folder, content), calibration, "cascade.json").digest

    first = digest("weights")
    assert digest("weights", folder="b") == first
    assert digest("other weights") != first
    assert digest("weights", Calibration(temperature=2.0)) not in (first, digest("weights", Calibration()))


def test_calibrated_cascade_stays_while_the_uncalibrated_one_is_written(job, tmp_path):
    chosen = weights(tmp_path / "a", "weights")
    calibrated = fold_run._write_cascade(job, chosen, Calibration(temperature=2.0), fold_run.CASCADE_FILE)
    before = calibrated.path.read_text()
    plain = fold_run._write_cascade(job, chosen, None, fold_run.UNCALIBRATED_FILE)
    assert calibrated.path.read_text() == before and "temperature" in before
    assert "temperature" not in plain.path.read_text()
    assert not plain.path.match("fold_*/cascade.json")


def test_the_cascade_of_a_fold_keeps_the_settings_of_the_prediction(job, tmp_path):
    own = ("epochs=1", "nephro_cascade:inferer#transforms#2#settings#loss_weights=[1.0, 1.0, 2.0]")
    changed = replace(job, settings=replace(job.settings, settings=own))
    overlay = fold_run._write_cascade(changed, weights(tmp_path / "a", "weights"), None, fold_run.CASCADE_FILE)
    parser = cascade_parser(configs=("faster_rcnn_vnet.json", overlay.path))
    assert parser["inferer#transforms#2#settings#loss_weights"] == [1.0, 1.0, 2.0]
    assert parser["segmenter#weights"].endswith("a/model.pt") and "epochs" not in parser


def test_predictions_of_another_cascade_are_discarded(job):
    folder, cases = job.folder / "predictions", job.fold.test
    assert fold_run._discard_outdated(folder, cases, "first") == list(cases)  # made with nobody knows what
    assert not any(is_done(folder / case) or any((folder / case).iterdir()) for case in cases)
    for name in CASE_FILES:
        (folder / cases[1] / name).write_text("synthetic")
    assert fold_run._discard_outdated(folder, cases, "first") == [] and is_done(folder / cases[1])
    assert fold_run._discard_outdated(folder, cases, "second") == [cases[1]] and not is_done(folder / cases[1])
