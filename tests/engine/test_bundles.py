"""Finding bundles and reading configurations."""

from __future__ import annotations

from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from nephro_monai.engine.bundles import (
    bundle_root,
    find_bundle,
    instantiate,
    list_bundles,
    parse_overrides,
    read_configs,
)
from nephro_monai.errors import BundleError


def test_the_packaged_bundles_are_found_by_name_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "nephro_cascade" in list_bundles()
    for name in list_bundles():
        assert Path(bundle_root(name)).is_absolute()
        assert (find_bundle(name) / "configs" / "inference.json").is_file()


def test_an_unknown_bundle_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(BundleError, match="nephro_cascade"):
        find_bundle("no_such_bundle")


def test_later_configurations_lie_over_earlier_ones(tiny_bundle: Path) -> None:
    parser = read_configs(tiny_bundle, ("inference.json", "wide.json"))
    network = parser.get_parsed_content("network_def")
    assert network.weight.shape == (5, 3)
    assert network.bias is None


def test_overrides_reach_single_ids_and_unknown_ones_are_refused(tiny_bundle: Path) -> None:
    parser = read_configs(tiny_bundle, overrides={"network_def#in_features": 7})
    assert parser.get_parsed_content("network_def").weight.shape == (2, 7)
    with pytest.raises(BundleError, match="top-level ids are: outputs, network_def"):
        read_configs(tiny_bundle, overrides={"otuputs": 3})


def test_arguments_left_to_their_default_can_be_set(tiny_bundle: Path) -> None:
    parser = read_configs(tiny_bundle, overrides={"network_def#bias": False})
    assert parser.get_parsed_content("network_def").bias is None
    with pytest.raises(BundleError, match="no id 'network_def#bais' to set"):
        read_configs(tiny_bundle, overrides={"network_def#bais": False})
    cascade = read_configs("nephro_cascade", overrides={"segmenter#weights": "/models/own.pt"})
    assert cascade["segmenter#weights"] == "/models/own.pt"


def test_a_misspelled_id_in_a_configuration_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.json"
    mine.write_text('{"output": 3}')
    with pytest.raises(BundleError, match=r"mine\.json sets 'output', .* Did you mean 'outputs'\?"):
        read_configs(tiny_bundle, ("inference.json", mine))
    mine.write_text('{"netwrk_def#bias": false}')
    with pytest.raises(BundleError, match=r"mine\.json sets a value inside of .*'query key: netwrk_def'"):
        read_configs(tiny_bundle, ("inference.json", mine))
    mine.write_text('{"sizes": [3, 4], "outputs": "$@sizes[1]", "imports": ["$import math"]}')  # a helper of its own
    assert read_configs(tiny_bundle, ("inference.json", mine)).get_parsed_content("network_def").weight.shape == (4, 3)


def test_a_missing_or_broken_configuration_names_itself(tiny_bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"it has inference\.json, metadata\.json, wide\.json"):
        read_configs(tiny_bundle, ("train.json",))
    (tiny_bundle / "configs" / "wide.json").write_text("{")
    with pytest.raises(BundleError, match="not valid JSON"):
        read_configs(tiny_bundle, ("inference.json", "wide.json"))


def test_settings_are_json_or_text() -> None:
    assert parse_overrides(["a#b=2", "c=[1, 2]", "d=some text", "e=x=y"]) == {
        "a#b": 2, "c": [1, 2], "d": "some text", "e": "x=y",
    }  # fmt: skip
    with pytest.raises(BundleError, match="id=value"):
        parse_overrides(["novalue"])


def test_a_value_of_no_use_is_one_error_that_says_where():
    parser = ConfigParser(
        {"split": {"_target_": "nephro_monai.data.split_cases", "cases": [], "validation_fraction": 2}}
    )
    with pytest.raises(BundleError, match="in 'split' of the configuration"):
        instantiate(parser, "split")
