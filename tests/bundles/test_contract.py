"""The contract of a MONAI bundle, for every bundle: a row of `contract.json` each.

A row holds a network and a training small enough for seconds (`tiny`, `training`), what its inference needs beside
that (`inference`), the figures that `evaluate.json` logs, what inference writes (`writes`: one file, and how many there
are), and the shape of an input. `"{bundle}"` stands for small weights of another bundle. What runs processes is `slow`.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import onnxruntime
import pytest
import torch
from monai.bundle import (
    ConfigWorkflow,
    ckpt_export,
    create_workflow,
    load,
    onnx_export,
    verify_metadata,
    verify_net_in_out,
)

from nephro_monai.engine.bundles import find_bundle, list_bundles, read_configs, read_metadata

ROWS: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "contract.json").read_text())
SCHEMA = Path(__file__).parent / "metadata_schema.json"
# It has no training and no single network: see its README.
CASCADE = "nephro_cascade"
# Boxes are dropped where they overlap (NMS): how many stay depends on the data, which torch.export refuses.
NOT_IN_ONNX = {"kidney_ct_detection_faster_rcnn"}

pytestmark = pytest.mark.filterwarnings("ignore:parsing config_file")
every_bundle = pytest.mark.parametrize("name", [*ROWS, CASCADE])
every_network = pytest.mark.parametrize("name", ROWS)


@pytest.fixture(autouse=True)
def another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything runs from a folder that is no bundle's."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Untrained weights of a bundle's small network, by the bundle's name."""
    folder = tmp_path_factory.mktemp("weights")

    def weights(name: str) -> str:
        path = folder / f"{name}.pt"
        if not path.is_file():
            torch.manual_seed(0)
            network = read_configs(name, overrides=network_of(name)).get_parsed_content("network_def")
            torch.save(network.state_dict(), path)
        return str(path)

    return weights


@pytest.fixture
def row(name: str, small_weights: Callable[[str], str], tumor_cases: Path, tmp_path: Path) -> dict[str, Any]:
    """The row of a bundle as overrides for its configurations: `train` (and evaluate) and `infer`."""

    def filled(value: Any) -> Any:
        other = isinstance(value, str) and value.startswith("{")
        return small_weights(value.strip("{}")) if other else value

    parts = {key: {k: filled(v) for k, v in ROWS[name][key].items()} for key in ("tiny", "training", "inference")}
    quick = {"epochs": 1, "validation_interval": 1, "progress": False, "precision": "32"}
    train = {"dataset_dir": str(tumor_cases), "output_dir": str(tmp_path / "run"), "device": "$torch.device('cpu')"}
    infer = {"dataset_dir": str(tumor_cases), "output_dir": str(tmp_path / "results"), "device_name": "cpu"}
    return {
        **ROWS[name],
        "train": {**parts["tiny"], **parts["training"], **quick, **train},
        "infer": {**parts["tiny"], **parts["inference"], **infer},
    }


def network_of(name: str) -> dict[str, Any]:
    return {key: value for key, value in ROWS[name]["tiny"].items() if key.startswith(("network_def", "grid"))}


def config(name: str, *files: str) -> list[str]:
    return [str(find_bundle(name) / "configs" / file) for file in files]


def metadata(name: str) -> str:
    return config(name, "metadata.json")[0]


def workflow(name: str, kind: str, *files: str, **overrides: Any) -> ConfigWorkflow:
    """`create_workflow` of MONAI, with all properties of its kind present."""
    made = create_workflow(
        config_file=config(name, *files), meta_file=metadata(name), logging_file=False, workflow_type=kind, **overrides
    )
    assert made.check_properties() == []
    return made


def compare_items(found: Any, expected: Any) -> None:
    """Equal training samples: dictionaries, lists or tuples of tensors and plain values."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        found, expected = list(found.values()), list(expected.values())
    if isinstance(expected, list | tuple):
        for one, other in zip(found, expected, strict=True):
            compare_items(one, other)
    elif isinstance(expected, torch.Tensor | np.ndarray):
        assert torch.equal(torch.as_tensor(found), torch.as_tensor(expected))
    else:
        assert found == expected


def logged(folder: Path) -> set[str]:
    """Names of the figures in the logs of a run."""
    headers = [file.read_text().splitlines()[0] for file in folder.glob("logs/*/metrics.csv")]
    return {column for header in headers for column in header.split(",")}


def check_results(folder: Path, writes: tuple[str, int], scans: Path) -> None:
    """The files that are expected; label maps lie on the scans' own grids."""
    file, count = writes
    assert (folder / file).stat().st_size > 0
    assert len([path for path in folder.rglob("*") if path.is_file()]) == count
    for path in folder.rglob("*.nii.gz"):
        label_map, scan = nib.load(path), nib.load(scans / path.parent.name / "imaging.nii.gz")
        assert label_map.shape == scan.shape and label_map.get_data_dtype() == np.uint8
        np.testing.assert_allclose(label_map.affine, scan.affine, atol=1e-4)
        assert set(np.unique(np.asarray(label_map.dataobj))) <= {0, 1, 2}


def test_every_bundle_has_a_row() -> None:
    assert {*ROWS, CASCADE} == set(list_bundles()), "a new bundle needs a row in contract.json"


@every_bundle
def test_metadata_follows_the_specification(name: str, another_folder: Path) -> None:
    shutil.copy(SCHEMA, another_folder / "schema.json")  # a file that is there is not downloaded
    verify_metadata(meta_file=metadata(name), filepath=str(another_folder / "schema.json"))
    tensors = read_metadata(name)["network_data_format"]
    for tensor in (*tensors["inputs"].values(), *tensors["outputs"].values()):
        assert sorted(map(int, tensor["channel_def"])) == list(range(tensor["num_channels"]))
    assert next(iter(tensors["inputs"])) == "image"


@every_network
def test_metadata_is_true_to_the_network(name: str) -> None:
    verify_net_in_out("network_def", metadata(name), config(name, "inference.json"), device="cpu")


@every_network
def test_training_and_inference_describe_the_network_that_ships(name: str) -> None:
    train, inference = (json.loads(Path(file).read_text()) for file in config(name, "train.json", "inference.json"))
    shared = {"network_def", "grid", "window_hu", "spacing_mm", "patch_size"} & set(train) & set(inference)
    assert "network_def" in shared
    for key in shared:
        assert train[key] == inference[key], key


@every_network
def test_training_samples_depend_on_the_seed_and_the_draw_alone(name: str, row: dict[str, Any]) -> None:
    """So any worker process, and a resumed run, sees the same."""
    first = workflow(name, "train", "train.json", **row["train"]).train_dataset
    there = pickle.loads(pickle.dumps(first))
    indices = [draw * len(first) + draw % len(first) for draw in (0, 1, 7)]
    samples = {index: first[index] for index in indices}
    for index in reversed(indices):
        compare_items(there[index], samples[index])


@every_network
def test_it_trains_evaluates_and_infers(name: str, row: dict[str, Any], tumor_cases: Path, tmp_path: Path) -> None:
    workflow(name, "train", "train.json", **row["train"]).run()
    weights = str(tmp_path / "run" / "model.pt")
    torch.load(weights, weights_only=True)
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
    evaluation = {**row["train"], "output_dir": str(tmp_path / "evaluation"), "weights": weights}
    workflow(name, "train", "train.json", "evaluate.json", **evaluation).run()
    assert set(row["figures"]) <= logged(tmp_path / "evaluation")
    workflow(name, "infer", "inference.json", **row["infer"], weights=weights).run()
    check_results(tmp_path / "results", row["writes"], tumor_cases)


def test_the_cascade_has_the_properties_of_a_bundle(tmp_path: Path, tumor_cases: Path) -> None:
    made = workflow(CASCADE, "infer", "inference.json", dataset_dir=str(tumor_cases), output_dir=str(tmp_path))
    assert len(made.dataset) == 6


@every_network
@pytest.mark.parametrize("kind", ["train", "inference"])
def test_bundle_load_gives_the_network_with_its_weights(name: str, kind: str, tmp_path: Path) -> None:
    root = find_bundle(name)
    if not (root / "models" / "model.pt").is_file():  # none ship yet: any that fit will do
        root = shutil.copytree(root, tmp_path / "bundles" / name)
        (root / "models").mkdir()
        network = read_configs(name).get_parsed_content("network_def")
        torch.save(network.state_dict(), root / "models" / "model.pt")
    loaded = load(name, bundle_dir=root.parent, workflow_type=kind, device="cpu").state_dict()
    for key, value in torch.load(root / "models" / "model.pt", weights_only=True).items():
        assert torch.equal(loaded[key], value.to(loaded[key].dtype)), key


@every_network
def test_it_exports_to_torchscript(name: str, small_weights: Callable[[str], str], another_folder: Path) -> None:
    ckpt_export(
        "network_def", "model.ts", small_weights(name), metadata(name), config(name, "inference.json")[0],
        **network_of(name),
    )  # fmt: skip
    compare(name, small_weights(name), torch.jit.load(another_folder / "model.ts"))


def compare(name: str, weights: str, exported: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """The exported network gives the numbers of the network itself."""
    network = read_configs(name, overrides=network_of(name)).get_parsed_content("network_def").eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    torch.manual_seed(1)
    images = torch.rand(ROWS[name]["input"])
    with torch.no_grad():
        torch.testing.assert_close(exported(images), network(images), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@every_network
def test_it_exports_to_onnx(name: str, small_weights: Callable[[str], str], another_folder: Path) -> None:
    def export() -> None:
        onnx_export(
            "network_def", "model.onnx", small_weights(name), metadata(name), config(name, "inference.json")[0],
            input_shape=ROWS[name]["input"], **network_of(name),
        )  # fmt: skip

    if name in NOT_IN_ONNX:
        with pytest.raises(Exception, match="GuardOnDataDependentSymNode"):
            export()
        return
    export()
    session = onnxruntime.InferenceSession(another_folder / "model.onnx")
    entry = session.get_inputs()[0].name
    compare(name, small_weights(name), lambda images: torch.from_numpy(session.run(None, {entry: images.numpy()})[0]))


def run_command(folder: Path, name: str, files: list[str], settings: dict[str, Any], processes: int = 1) -> None:
    """`python -m monai.bundle run` in that folder, without a GPU, on one thread; by torchrun for more processes."""
    (folder / "settings.json").write_text(json.dumps(settings))
    launch = ["torch.distributed.run", "--standalone", f"--nproc_per_node={processes}", "-m"] if processes > 1 else []
    options = ["--meta_file", metadata(name), "--logging_file", *config(name, "logging.conf")]
    threads = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [
            sys.executable, "-m", *launch, "monai.bundle", "run",
            "--config_file", str([*config(name, *files), "settings.json"]), *options,
        ],
        cwd=folder, env={**os.environ, **threads, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, f"{files}: {done.stdout[-3000:]}\n{done.stderr[-5000:]}"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@every_network
def test_two_processes_train_a_model_that_evaluates_and_infers(
    name: str, row: dict[str, Any], tumor_cases: Path, another_folder: Path, tmp_path: Path
) -> None:
    train = {key: value for key, value in row["train"].items() if key != "device"}
    run_command(another_folder, name, ["train.json", "multi_gpu_train.json"], train, processes=2)
    weights = {"weights": str(tmp_path / "run" / "model.pt")}
    assert any(column.startswith("val_") for column in logged(tmp_path / "run"))
    evaluation = {**row["train"], **weights, "output_dir": str(tmp_path / "evaluation")}
    run_command(another_folder, name, ["train.json", "evaluate.json"], evaluation)
    assert set(row["figures"]) <= logged(tmp_path / "evaluation")
    run_command(another_folder, name, ["inference.json"], {**row["infer"], **weights})
    check_results(tmp_path / "results", row["writes"], tumor_cases)
