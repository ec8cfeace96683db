from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from nephro_monai.engine.bundles import find_bundle
from nephro_monai.engine.slice_statistics import write_slice_statistics
from nephro_monai.errors import BundleError, TrainingDataError


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle whose training set is two slices."""
    folder = tmp_path / "bundle"
    (folder / "configs").mkdir(parents=True)
    shutil.copy(find_bundle("kidney_tumor_ct_segmentation_vnet") / "configs" / "metadata.json", folder / "configs")
    train = {
        "imports": ["$import torch"],
        "bundle_root": ".",
        "dataset_dir": "data",
        "level": 100.0,
        "slices": "$[{'image': torch.full((1, 4, 6), v)} for v in (-@level, @level)]",
        "statistics": {"_target_": "nephro_monai.data.compute_slice_statistics", "slices": "@slices", "shape": [4, 6]},
    }
    (folder / "configs" / "train.json").write_text(json.dumps(train))
    return folder


def test_the_file_holds_what_training_takes(bundle, tmp_path):
    out = tmp_path / "new" / "statistics.pt"
    assert write_slice_statistics(bundle, tmp_path, out, overrides={"level": 50.0}) == out
    content = torch.load(out, weights_only=True)
    torch.testing.assert_close(content["mean"], torch.zeros(1, 4, 6))
    torch.testing.assert_close(content["deviation"], torch.full((1, 4, 6), 50.0))
    assert [p.name for p in out.parent.iterdir()] == ["statistics.pt"]


def test_bundles_without_statistics_and_missing_data_are_named(bundle, tmp_path):
    with pytest.raises(TrainingDataError, match="no folder"):
        write_slice_statistics(bundle, tmp_path / "absent", tmp_path / "s.pt")
    with pytest.raises(BundleError, match="no id 'statistics'"):
        write_slice_statistics("kidney_tumor_ct_segmentation_vnet", tmp_path, tmp_path / "s.pt")
    with pytest.raises(BundleError, match=r"no configs/train\.json"):
        write_slice_statistics("nephro_cascade", tmp_path, tmp_path / "s.pt")
