"""Weights: loading, checksums, installing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nephro_monai.engine.weights import bundle_content, checksum, install_weights, load_bundle_network, provenance
from nephro_monai.errors import BundleError, WeightsError


def test_the_network_comes_with_its_weights_and_its_provenance(tiny_bundle: Path) -> None:
    network = load_bundle_network(tiny_bundle)
    torch.manual_seed(0)
    assert torch.equal(network.weight, torch.nn.Linear(3, 2).weight)
    assert not network.training
    record = provenance({"stage": network})["stage"]
    assert record["bundle"] == "tiny_bundle"
    assert record["version"] == "1.2.3"
    assert record["sha256"] == checksum(tiny_bundle / "models" / "model.pt")
    assert record["trained_on"] == "synthetic CT"


def test_a_network_knows_the_configuration_it_was_made_with(tiny_bundle: Path) -> None:
    (tiny_bundle / "configs" / "grid.json").write_text('{"grid": {"_target_": "builtins.dict", "outputs": "@outputs"}}')
    network = load_bundle_network(tiny_bundle, configs=("inference.json", "grid.json"))
    assert bundle_content(network, "grid") == {"outputs": 2}
    torch.save(torch.nn.Linear(3, 5).state_dict(), tiny_bundle / "models" / "five.pt")
    five = load_bundle_network(
        tiny_bundle, configs=("inference.json", "grid.json"), weights="models/five.pt", overrides={"outputs": 5}
    )
    assert bundle_content(five, "grid#outputs") == 5
    made = load_bundle_network(tiny_bundle, overrides={"network_def": torch.nn.Linear(3, 2)})
    assert "network_def" not in made.configuration, "a network does not hold itself"
    with pytest.raises(BundleError, match="tiny_bundle has no id 'mesh' to read"):
        bundle_content(five, "mesh")
    with pytest.raises(BundleError, match="Linear has no id 'grid' to read"):
        bundle_content(torch.nn.Linear(3, 2), "grid")


def test_altered_weights_are_refused(tiny_bundle: Path) -> None:
    path = tiny_bundle / "models" / "model.pt"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsError, match="was altered"):
        load_bundle_network(tiny_bundle)


def test_missing_weights_say_where_they_should_be(tiny_bundle: Path) -> None:
    (tiny_bundle / "models" / "model.pt").unlink()
    with pytest.raises(WeightsError, match=r"missing: .*model\.pt.*nephro train"):
        load_bundle_network(tiny_bundle)


def test_weights_of_another_network_are_refused(tiny_bundle: Path) -> None:
    with pytest.raises(WeightsError, match="does not fit"):
        load_bundle_network(tiny_bundle, configs=("inference.json", "wide.json"))


def test_a_file_that_is_no_state_dict_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pt"
    torch.save([1, 2], other)
    with pytest.raises(WeightsError, match="plain state_dict"):
        load_bundle_network(tiny_bundle, weights=str(other))
    other.write_bytes(b"no weights")
    with pytest.raises(WeightsError, match="not a readable weight file"):
        load_bundle_network(tiny_bundle, weights=str(other))


def test_own_weights_are_not_called_shipped(tiny_bundle: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.pt"
    torch.save(torch.nn.Linear(3, 2).state_dict(), own)
    record = provenance({"stage": load_bundle_network(tiny_bundle, weights=str(own))})["stage"]
    assert not record["shipped"]
    assert record["trained_on"] == "not known"


def test_installed_weights_are_half_precision_listed_and_load(tiny_bundle: Path, tmp_path: Path) -> None:
    trained = tmp_path / "run"
    trained.mkdir()
    network = torch.nn.Linear(3, 2)
    torch.save(network.state_dict(), trained / "model.pt")
    path = install_weights(trained, tiny_bundle)
    stored = torch.load(path, weights_only=True)
    assert {value.dtype for value in stored.values()} == {torch.float16}
    loaded = load_bundle_network(tiny_bundle)
    assert loaded.weight.dtype == torch.float32
    torch.testing.assert_close(loaded.weight, network.weight, atol=1e-3, rtol=1e-3)


def test_values_beyond_half_precision_stay_whole_and_broken_ones_are_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    trained = tmp_path / "huge.pt"
    torch.save({"weight": torch.full((2, 3), 1e6), "bias": torch.zeros(2)}, trained)
    stored = torch.load(install_weights(trained, tiny_bundle), weights_only=True)
    assert stored["weight"].dtype == torch.float32 and stored["bias"].dtype == torch.float16
    assert float(stored["weight"][0, 0]) == 1e6
    torch.save({"weight": torch.full((2, 3), torch.inf), "bias": torch.zeros(2)}, trained)
    with pytest.raises(WeightsError, match="not finite"):
        install_weights(trained, tiny_bundle)


def test_weights_of_another_network_are_refused_and_change_nothing(tiny_bundle: Path, tmp_path: Path) -> None:
    trained = tmp_path / "other.pt"
    torch.save({"encoder.weight": torch.zeros(2, 3)}, trained)
    before = {path: path.read_bytes() for path in (tiny_bundle / "models").iterdir()}
    with pytest.raises(WeightsError, match=r"encoder\.weight.*Name the bundle"):
        install_weights(trained, tiny_bundle)
    assert {path: path.read_bytes() for path in (tiny_bundle / "models").iterdir()} == before
    (tmp_path / "kits.json").write_text("[]")
    with pytest.raises(WeightsError, match="not a readable weight file"):
        install_weights(tmp_path / "kits.json", tiny_bundle)
