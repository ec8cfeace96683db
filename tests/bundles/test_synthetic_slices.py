"""Training of the 2-D bundles on slices that are synthesized around tissue maps: their `synthetic.json`."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from nephro_monai.data import malignancy_of_subtype
from nephro_monai.engine.bundles import find_bundle, read_configs
from nephro_monai.engine.train import TrainOptions, train_bundle
from nephro_monai.transforms.slice_class import slice_class

ROWS = json.loads((Path(__file__).parent / "contract.json").read_text())
SCNET = "kidney_tumor_ct_segmentation_scnet"
QUICK = {"epochs": 1, "validation_interval": 1, "validation_fraction": 0.4, "workers": 0, "progress": False}
# Two steps of training each, beside the small networks of the contract.
TINY: dict[str, dict[str, Any]] = {
    SCNET: {
        "slice_size": 48, "slice_room": 8, "slices_per_slab": 2, "batch_size": 4, "slices_per_epoch": 8,
        "slab_settings#slabs": 2, "slab_settings#slices": 5,
    },
}  # fmt: skip
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
def test_samples_depend_on_the_seed_and_the_draw_alone(name: str, phantom_cohort: Path) -> None:
    dataset = parsed(name, phantom_cohort).get_parsed_content("train#dataset")
    size = len(dataset)
    first, other = (samples_of(dataset, [draw * size]) for draw in (0, 1))
    again = samples_of(parsed(name, phantom_cohort).get_parsed_content("train#dataset"), [1, 0])[-len(first) :]
    for one, same in zip(first, again, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(same), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(tensors(first[0]), tensors(other[0]), strict=True))


@every_bundle
def test_two_steps_of_training(name: str, phantom_cohort: Path, tmp_path: Path) -> None:
    settings = {**ROWS[name]["tiny"], **QUICK, **TINY[name], "precision": "32"}
    options = TrainOptions(
        data=phantom_cohort, out=tmp_path / "run", device="cpu", configs=("synthetic.json",), overrides=settings
    )
    state = torch.load(train_bundle(name, options), weights_only=True)
    assert all(value.isfinite().all() for value in state.values() if value.is_floating_point())
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=False)
    assert checkpoint["global_step"] == 2
    rows = [row for file in (tmp_path / "run").glob("logs/*/metrics.csv") for row in csv.DictReader(file.open())]
    figures = {key for row in rows for key, value in row.items() if value}
    assert any(key.startswith("val_") for key in figures)


@every_bundle
def test_numbers_are_within_what_the_synthesis_takes(name: str, phantom_cohort: Path) -> None:
    parser = parsed(name, phantom_cohort)
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
