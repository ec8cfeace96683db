"""Training of the 2-D bundles on slices that are synthesized around tissue maps: their `synthetic.json`."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from nephro_monai.data import cut_tissue_slabs, list_training_cases, malignancy_of_subtype, save_tissue_slabs
from nephro_monai.engine.bundles import find_bundle, read_configs
from nephro_monai.engine.train import TrainOptions, train_bundle
from nephro_monai.transforms.slice_class import slice_class

ROWS = json.loads((Path(__file__).parent / "contract.json").read_text())
SCNET = "kidney_tumor_ct_segmentation_scnet"
ENET_1, ENET_2 = "kidney_ct_segmentation_enet", "kidney_tumor_ct_segmentation_enet"
DENSENET, INCEPTION = "renal_tumor_ct_classification_densenet", "renal_tumor_ct_classification_inception"
DETECTOR = "kidney_ct_detection_faster_rcnn"
QUICK = {"epochs": 1, "validation_interval": 1, "workers": 0, "progress": False, "batch_size": 4, "slices_per_epoch": 8}
# Two steps of training each, beside the small networks of the contract.
TINY: dict[str, dict[str, Any]] = {
    SCNET: {
        "slice_size": 48, "slice_room": 8, "slices_per_slab": 2, "slab_settings#slabs": 2, "slab_settings#slices": 5,
        "validation_fraction": 0.4,
    },
    ENET_2: {"slices_per_case": 3, "statistics_slabs": 2, "slab_settings#slices": 5, "validation_fraction": 0.4},
    ENET_1: {"slices_per_case": 3, "statistics_slabs": 2, "slab_settings#slices": 5, "validation_fraction": 0.4},
    DENSENET: {"slab_settings#slabs": 4, "slab_settings#size": 192, "validation_fraction": 0.4},
    DETECTOR: {"slab_settings#slabs": 3, "slab_settings#slices": 3, "validation_fraction": 0.4},
    INCEPTION: {
        "slab_settings#slabs": 4, "slab_settings#size": 192, "test_fraction": 0.34, "folds": 3,
    },
}  # fmt: skip


@pytest.fixture
def anatomies(name: str, request: pytest.FixtureRequest) -> Path:
    """Cases with tissues: of `nephro phantom --small`, for Inception the six that its folds need."""
    return request.getfixturevalue("tumor_cases" if name == INCEPTION else "phantom_cohort")


every_bundle = pytest.mark.parametrize("name", TINY)


def parsed(name: str, folder: Path, **changes: Any) -> Any:
    settings = {**ROWS[name]["tiny"], **QUICK, **TINY[name], "dataset_dir": str(folder), **changes}
    return read_configs(name, ("train.json", "synthetic.json"), settings)


def samples_of(dataset: Any, numbers: list[int]) -> list[Any]:
    """The samples of some draws; a slab may give several."""
    found = []
    for number in numbers:
        made = dataset[number]
        found += made if isinstance(made, list) else [made]
    return found


def tensors(sample: Any) -> list[torch.Tensor]:
    if isinstance(sample, torch.Tensor):
        return [sample]
    parts = sample.values() if isinstance(sample, dict) else sample if isinstance(sample, list | tuple) else ()
    return [tensor for part in parts for tensor in tensors(part)]


@every_bundle
def test_samples_depend_on_the_seed_and_the_draw_alone(name: str, anatomies: Path) -> None:
    dataset = parsed(name, anatomies).get_parsed_content("train#dataset")
    size = len(dataset)
    first, other = (samples_of(dataset, [draw * size]) for draw in (0, 1))
    again = samples_of(parsed(name, anatomies).get_parsed_content("train#dataset"), [1, 0])[-len(first) :]
    for one, same in zip(first, again, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(same), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(tensors(first[0]), tensors(other[0]), strict=True))


@every_bundle
def test_two_steps_of_training(name: str, anatomies: Path, tmp_path: Path) -> None:
    settings = {**ROWS[name]["tiny"], **QUICK, **TINY[name], "precision": "32"}
    options = TrainOptions(
        data=anatomies, out=tmp_path / "run", device="cpu", configs=("synthetic.json",), overrides=settings
    )
    state = torch.load(train_bundle(name, options), weights_only=True)
    assert all(value.isfinite().all() for value in state.values() if value.is_floating_point())
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=False)
    assert checkpoint["global_step"] == 2
    rows = [row for file in (tmp_path / "run").glob("logs/*/metrics.csv") for row in csv.DictReader(file.open())]
    figures = {key for row in rows for key, value in row.items() if value}
    assert any(key.startswith("val_") for key in figures)


@pytest.mark.parametrize("name", [DENSENET, INCEPTION])
def test_classifiers_train_from_a_file_of_slabs(name: str, anatomies: Path, tmp_path: Path) -> None:
    settings = parsed(name, anatomies).get_parsed_content("slab_settings")
    cases = list_training_cases(anatomies, require=("segmentation", "tissues"))
    slabs = cut_tissue_slabs(cases, settings, progress=False)
    save_tissue_slabs(tmp_path / "data" / "tissue_slabs.npz", slabs, settings)
    overrides = {**ROWS[name]["tiny"], **QUICK, **TINY[name], "precision": "32"}
    configs = ("synthetic.json", "slabs.json")
    parser = read_configs(name, ("train.json", *configs), {**overrides, "dataset_dir": str(tmp_path / "data")})
    split = parser.get_parsed_content("split")
    assert len(split.training) + len(split.validation) == len(slabs)
    assert not {slab["patient"] for slab in split.training} & {slab["patient"] for slab in split.validation}
    options = TrainOptions(
        data=tmp_path / "data", out=tmp_path / "run", device="cpu", configs=configs, overrides=overrides
    )
    state = torch.load(train_bundle(name, options), weights_only=True)
    assert all(value.isfinite().all() for value in state.values() if value.is_floating_point())


@every_bundle
def test_numbers_are_within_what_the_synthesis_takes(name: str, anatomies: Path) -> None:
    parser = parsed(name, anatomies)
    slabs, synthesis = parser.get_parsed_content("slab_settings"), parser.get_parsed_content("synthesis_settings")
    assert tuple(slabs.spacing_mm) == tuple(synthesis.spacing_mm)
    assert synthesis.acquisition.blur_mm[0] > 0.3 * slabs.spacing_mm[0], "tissue maps have hard edges"
    assert "synthetic.json" in (find_bundle(name) / "docs" / "README.md").read_text(encoding="utf-8")


def test_slices_and_classes_of_scnet_are_those_of_the_slab(phantom_cohort: Path) -> None:
    parser = parsed(SCNET, phantom_cohort, slices_per_slab=1, **{"synthesis_settings#masses#mass_share": 1.0})
    synthesis, slabs = parser.get_parsed_content("synthesis"), parser.get_parsed_content("train#slices")
    (slab_step, _), seen = synthesis.transforms, set()
    finish = parser.get_parsed_content("validate#preprocessing").transforms[1:]
    for number, slab in enumerate(slabs):
        (item,) = synthesis.set_random_state(number)(slab)
        synthesis.set_random_state(number)
        whole = slab_step(slab)
        assert torch.equal(item["label"], whole["label"][..., 2].permute(0, 2, 1).flip(1, 2)), "5 slices: the middle"
        assert item["malignant"] is malignancy_of_subtype(whole["subtype"])
        for transform in finish:
            item = transform(item)
        area = int((item["label"] == 2).sum())
        expected = slice_class(area, whole["malignant"], 50.0)
        assert item["slice_class"] == expected
        seen.add(expected)
    assert len(seen) >= 2


@pytest.mark.parametrize("name", [ENET_1, ENET_2])
def test_enets_see_the_labels_and_normalize_by_synthesized_slices(name: str, phantom_cohort: Path) -> None:
    parser = parsed(name, phantom_cohort, **{"slab_settings#slices": 5})
    synthesis, slabs = parser.get_parsed_content("synthesis"), parser.get_parsed_content("train#slices")
    kidneys = 0
    for slab in slabs[:4]:
        item = synthesis.set_random_state(0)(slab)[0]
        synthesis.set_random_state(0)
        middle = synthesis.transforms[0](slab)["label"][..., 2].permute(0, 2, 1).flip(1, 2)
        assert torch.equal(item["label"], middle.clamp(max=1) if name == ENET_1 else middle)
        assert item["label"].dtype == torch.uint8
        kidneys += bool((item["label"] > 0).any())
    assert kidneys, "some slices show a kidney"
    mean, deviation = parser.get_parsed_content("statistics")
    side = 256 if name == ENET_1 else 128
    assert mean.shape == deviation.shape == (1, side, side)
    dataset = parser.get_parsed_content("statistics_dataset")
    made = samples_of(dataset, list(range(len(dataset))))
    centers = torch.stack([one["image"][0, item["image"].shape[1] // 2, item["image"].shape[2] // 2] for one in made])
    assert float(mean[0, side // 2, side // 2]) == pytest.approx(float(centers.clamp(-200, 500).mean()), abs=1e-2)


@pytest.mark.parametrize("name", [DENSENET, INCEPTION])
def test_tumor_slices_have_the_class_of_the_subtype_that_was_drawn(name: str, anatomies: Path) -> None:
    parser = parsed(name, anatomies, **{"slice_settings#size": 64})
    synthesis, slabs = parser.get_parsed_content("synthesis"), parser.get_parsed_content("train#slices")
    seen = set()
    for number in range(6):
        slab = slabs[number % len(slabs)]
        items = synthesis.set_random_state(number)(slab)
        synthesis.set_random_state(number)
        drawn = synthesis.transforms[0](slab)
        assert len(items) == 2 and {item["case"] for item in items} == {slab["case"]}
        for item in items:
            assert item["label"] == int(malignancy_of_subtype(drawn["subtype"]))
            assert item["image"].shape == (1, 64, 64)
            seen.add(item["label"])
        if name == DENSENET:
            assert sum(item["largest"] for item in items) == 1 and items[0]["subtype"] == drawn["subtype"]
        else:
            assert {item["fold"] for item in items} == {slab["fold"]}
    assert seen == {0, 1}


def test_folds_and_splits_go_by_anatomy(tumor_cases: Path) -> None:
    slabs = parsed(INCEPTION, tumor_cases).get_parsed_content("train#slices")
    folds = {patient: {slab["fold"] for slab in slabs if slab["patient"] == patient} for patient in
             {slab["patient"] for slab in slabs}}  # fmt: skip
    assert len(folds) == 4 and all(len(own) == 1 for own in folds.values())


def test_boxes_of_the_detector_hold_the_kidneys_of_its_slice(phantom_cohort: Path) -> None:
    dataset = parsed(DETECTOR, phantom_cohort).get_parsed_content("validate#dataset")
    synthesis, boxed = dataset.transform.transforms[0], 0
    for number, slab in enumerate(dataset.data):
        slices = synthesis.set_random_state(number)(slab)
        for item in slices:
            image, target = dataset.transform.transforms[1](item)
            assert image.shape == (1, 128, 128) and image.min() >= 0 and image.max() <= 1
            covered = torch.zeros(128, 128, dtype=torch.bool)
            for x1, y1, x2, y2 in target["boxes"].long().tolist():
                covered[y1:y2, x1:x2] = True
            boxed += len(target["boxes"])
            outside = (item["sides"][0] > 0) & ~covered
            assert int(outside.sum()) <= 18, "all but specks"
    assert boxed > 0
