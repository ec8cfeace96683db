"""Whatever decides an outcome changes the identity."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest

from nephro_monai.engine.bundles import find_bundle
from nephro_monai.errors import BundleError
from nephro_monai.evaluation.experiment_identity import score_identity, training_identity
from nephro_monai.evaluation.experiment_plan import PretrainedWeights, Training


@pytest.fixture
def bundle(tmp_path):
    """A copy of a bundle, without its weights."""
    source = find_bundle("renal_tumor_ct_classification_densenet")
    folder = tmp_path / "own_bundle"
    shutil.copytree(source / "configs", folder / "configs")
    (folder / "models").mkdir()
    (folder / "models" / "SHA256SUMS").write_text("00  model.pt\n")
    return folder


@pytest.mark.parametrize("file", ["train.json", "inference.json"])
def test_configurations(bundle, file):
    training = Training(name="one", bundle=str(bundle))
    before = training_identity(training, {}, {})
    assert training_identity(training, {}, {}) == before
    path = bundle / "configs" / file
    path.write_text(json.dumps({**json.loads(path.read_text()), "new": 1}))
    assert training_identity(training, {}, {}) != before


def test_checksums_of_weights(bundle):
    training = Training(name="one", bundle=str(bundle), colorizer="ct_colorization_cic")
    before = training_identity(training, {}, {})
    assert {str(bundle), "ct_colorization_cic"} <= set(before[1])
    assert "model.pt" in before[1]["ct_colorization_cic"][1]
    (bundle / "models" / "SHA256SUMS").write_text("01  model.pt\n")
    assert training_identity(training, {}, {}) != before


def test_pretrained_files(bundle, tmp_path):
    weights = {"CIC": PretrainedWeights({"x": "{source}"}, None, "released", "colorizer")}
    training = Training(name="one", bundle=str(bundle), pretrained=weights)
    file = tmp_path / "cic.pt"
    file.write_bytes(b"weights")
    identity = training_identity(training, {}, {"CIC": str(file), "Other": str(file)})
    assert identity[2] == {"CIC": hashlib.sha256(b"weights").hexdigest()}
    assert training_identity(training, {}, {"CIC": None})[2] == {}


def test_bundles_named_by_values_and_by_the_cascade(bundle):
    training = Training(name="one", bundle=str(bundle))
    named = training_identity(training, {"bundle": "kidney_ct_segmentation_enet"}, {})[1]
    assert "kidney_ct_segmentation_enet" in named
    assert score_identity({"kind": "tumor_slices"}) == []
    _, bundles = score_identity({"kind": "cascade", "configs": ["enet_two_stage.json"]})
    assert {"nephro_cascade", "kidney_ct_segmentation_enet"} <= set(bundles)


def test_missing_configuration(bundle):
    with pytest.raises(BundleError, match=r"absent\.json of .* cannot be read"):
        training_identity(Training(name="one", bundle=str(bundle), configs=("absent.json",)), {}, {})
