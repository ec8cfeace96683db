"""A cross-validation from its folds to its table; slow, since networks are trained and scans predicted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from nephro_monai.engine import cascade_parser, instantiate
from nephro_monai.engine.runner import CaseRunner
from nephro_monai.errors import BundleError, OutputError, TrainingDataError
from nephro_monai.evaluation.cross_validation import CrossValidationRun, cross_validate
from nephro_monai.evaluation.fold_settings import FoldSettings
from nephro_monai.phantom import CohortConfig, generate_cohort

TABLES = ("folds.csv", "summary.json", "summary.md", "folds.json", "evaluation/metrics.csv", "evaluation/summary.json")

CLASSIFIER = FoldSettings(
    "color_nephro_net", folds=2, calibration_fraction=0.34, sensitivity=0.5, keep=("borrowed", "ct_colorization_cic"),
    settings=(
        "epochs=2", "slices_per_epoch=16", "batch_size=4", "validation_interval=1", "precision=32",
        'network_def#encoder={"name": "densenet", "init_features": 4, "growth_rate": 2, "block_config": [1, 1]}',
        "network_def#head_features=8",
    ),
)  # fmt: skip
SEGMENTER = FoldSettings(
    "faster_rcnn_vnet", folds=2, calibration_fraction=0.0, stratify="none",
    settings=(
        "epochs=1", "slices_per_epoch=4", "batch_size=2", "validation_interval=1", "workers=0", "precision=32",
        "kidney_ct_detection_faster_rcnn:network_def#width=4",
        "kidney_tumor_ct_segmentation_vnet:network_def#width=1",
        "kidney_tumor_ct_segmentation_vnet:patches_per_epoch=4",
        "kidney_tumor_ct_segmentation_vnet:patch_size=[32, 32, 16]",
        "kidney_tumor_ct_segmentation_vnet:patch_context=[40, 40, 20]",
    ),
)  # fmt: skip


class StoppedError(RuntimeError):
    """Stands for a killed process."""


@pytest.fixture(scope="module")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve small synthetic cases, half of them malignant, half benign."""
    folder = tmp_path_factory.mktemp("twelve") / "data"
    generate_cohort(folder, CohortConfig(cases=12, seed=5, small=True, kinds=("malignant", "benign")))
    return folder


def run(data: Path, out: Path) -> CrossValidationRun:
    return CrossValidationRun(data, out, device="cpu", progress=False)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_stopped_twice_and_resumed_ends_in_the_same_table(twelve, tmp_path, monkeypatch):
    from nephro_monai.training.slice_classification import SliceClassificationModule

    cross_validate(CLASSIFIER, run(twelve, tmp_path / "whole"))

    step, started = SliceClassificationModule.training_step, []

    def training_until_stopped(self: SliceClassificationModule, batch: object, batch_idx: int) -> torch.Tensor:
        started.append((self.current_epoch, batch_idx))
        if started.count((1, 1)) == 2:  # the second fold, after its first checkpoint
            raise StoppedError
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(SliceClassificationModule, "training_step", training_until_stopped)
        with pytest.raises(RuntimeError):
            cross_validate(CLASSIFIER, run(twelve, tmp_path / "parts"))
    run_case, count = CaseRunner._run_case, []

    def prediction_until_stopped(self: CaseRunner, *arguments: object) -> object:
        count.append(arguments)
        if len(count) == 5:  # amid the held-out cases of the second fold
            raise StoppedError
        return run_case(self, *arguments)

    heard: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(CaseRunner, "_run_case", prediction_until_stopped)
        with pytest.raises(StoppedError):
            cross_validate(CLASSIFIER, run(twelve, tmp_path / "parts"), heard.append)
    assert "fold 0: renal_tumor_ct_classification_densenet is trained" in heard
    assert "fold 0: 6 held-out cases are predicted" in heard
    assert "fold 1: goes on training renal_tumor_ct_classification_densenet" in heard
    result = cross_validate(CLASSIFIER, run(twelve, tmp_path / "parts"))

    for name in TABLES:
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert result.together["cases"]["done"] == 12
    assert result.together["kidney_dice"]["mean"] > 0.3
    _check_ensemble(twelve, tmp_path)
    with pytest.raises(OutputError, match="seed was 0, is 1"):
        cross_validate(FoldSettings(**{**vars(CLASSIFIER), "seed": 1}), run(twelve, tmp_path / "whole"))


def _check_ensemble(data: Path, folder: Path) -> None:
    """All folds together predict a case, with the weights of the folds."""
    overrides = {
        "device_name": "cpu", "folds_dir": str(folder / "whole"), "inputs": [str(data / "case_00001")],
        "output_dir": str(folder / "ensemble"),
    }  # fmt: skip
    (outcome,) = instantiate(cascade_parser(configs=["ensemble.json"], overrides=overrides), "evaluator").run()
    assert outcome.status == "done"
    content = json.loads((folder / "ensemble" / "case_00001" / "diagnosis.json").read_text())
    weights = {name: entry["weights"] for name, entry in content["provenance"].items() if "classifier" in name}
    assert list(weights) == ["fold_0_classifier", "fold_1_classifier"]
    assert all(str(folder / "whole" / name[:6]) in path for name, path in weights.items())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_system_without_a_classifier_trains_all_its_networks(phantom_cohort, tmp_path):
    heard: list[str] = []
    result = cross_validate(SEGMENTER, run(phantom_cohort, tmp_path), heard.append)
    for fold in (0, 1):
        for bundle in ("kidney_ct_detection_faster_rcnn", "kidney_tumor_ct_segmentation_vnet"):
            assert (tmp_path / f"fold_{fold}" / "training" / bundle / "trained.json").is_file()
        assert not (tmp_path / f"fold_{fold}" / "calibration").exists()
    assert result.together["cases"]["done"] == 3 and result.notes == ()
    assert "fold 0: trains kidney_ct_detection_faster_rcnn" in heard and not any("AUC" in line for line in heard)


def test_unknown_names_are_refused_before_anything_is_written(twelve, tmp_path):
    out = tmp_path / "out"
    cases = [
        (FoldSettings("resnet"), BundleError, "nephro systems"),
        (FoldSettings("scnet", keep=("vnet",)), BundleError, "has no bundle vnet to keep"),
        (FoldSettings("enet_two_stage", keep=("kidney_ct_segmentation_enet", "kidney_tumor_ct_segmentation_enet")),
         BundleError, "nothing to cross-validate"),
        (FoldSettings("scnet", settings=("epoch=1",)), BundleError, "no train.json of .* has the id 'epoch'"),
        (FoldSettings("scnet", settings=("vnet:epochs=1",)), BundleError, "is for vnet, which is none of"),
        (FoldSettings("scnet", folds=20), TrainingDataError, "20 folds need at least 20 patients"),
    ]  # fmt: skip
    for settings, error, message in cases:
        with pytest.raises(error, match=message):
            cross_validate(settings, run(twelve, out))
    assert not out.exists()


def test_a_classifier_needs_both_classes_in_every_fold(tmp_path):
    data = tmp_path / "data"
    generate_cohort(data, CohortConfig(cases=2, seed=1, small=True, kinds=("malignant", "benign")))
    with pytest.raises(TrainingDataError, match=r"Fold 0 would be trained on . benign and . malignant cases"):
        cross_validate(FoldSettings("scnet", folds=2), run(data, tmp_path / "out"))


def test_one_case_is_too_few(tmp_path):
    data = tmp_path / "data"
    generate_cohort(data, CohortConfig(cases=1, seed=1, small=True))
    with pytest.raises(TrainingDataError, match=r"2 folds need at least 2 patients .*got 1"):
        cross_validate(FoldSettings("faster_rcnn_vnet", folds=2), run(data, tmp_path / "out"))


def test_folds_of_another_data_set_and_of_another_number(twelve, tmp_path):
    folds = tmp_path / "folds.json"
    small = tmp_path / "data"
    generate_cohort(small, CohortConfig(cases=4, seed=9, small=True, kinds=("malignant", "benign")))
    from nephro_monai.data import list_training_cases, plan_folds

    plan_folds(list_training_cases(small), 2).write(folds)
    given = CrossValidationRun(twelve, tmp_path / "out", folds, device="cpu")
    with pytest.raises(TrainingDataError, match="another data set"):
        cross_validate(FoldSettings("scnet", folds=2), given)
    given = CrossValidationRun(small, tmp_path / "out", folds, device="cpu")
    with pytest.raises(TrainingDataError, match="has 2 folds, asked for are 3"):
        cross_validate(FoldSettings("scnet", folds=3), given)
    given = CrossValidationRun(small, tmp_path / "out", tmp_path / "absent.json", device="cpu")
    with pytest.raises(TrainingDataError, match="no file of folds"):
        cross_validate(FoldSettings("scnet", folds=2), given)


def test_folds_of_the_run_and_of_a_file_that_differ(tmp_path):
    from nephro_monai.data import list_training_cases, plan_folds
    from nephro_monai.evaluation import cross_validation as module

    data = tmp_path / "data"
    generate_cohort(data, CohortConfig(cases=4, seed=9, small=True, kinds=("malignant", "benign")))
    cases = list_training_cases(data)
    settings = FoldSettings("scnet", folds=2, seed=1)
    for seed in (0, 1):
        plan_folds(cases, 2, seed=seed).write(tmp_path / f"seed_{seed}.json")
    assert plan_folds(cases, 2, seed=0).folds != plan_folds(cases, 2, seed=1).folds
    given = CrossValidationRun(data, tmp_path / "out", tmp_path / "seed_0.json", device="cpu")
    plan, from_file = module._plan(settings, given, cases)
    assert plan.seed == 0 and from_file
    plan.write(tmp_path / "out" / "folds.json")
    assert module._plan(settings, given, cases) == (plan, True)
    other = CrossValidationRun(data, tmp_path / "out", tmp_path / "seed_1.json", device="cpu")
    with pytest.raises(TrainingDataError, match=r"has other folds than .*seed_1\.json"):
        module._plan(settings, other, cases)
    assert module._plan(settings, CrossValidationRun(data, tmp_path / "new"), cases)[1] is False
