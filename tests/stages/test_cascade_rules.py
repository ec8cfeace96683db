"""Which configuration of the cascade asks what before it calls something a tumor."""

from __future__ import annotations

import pytest
from monai.bundle import ConfigParser

from nephro_monai.engine.bundles import instantiate
from nephro_monai.engine.cascade import cascade_parser
from nephro_monai.errors import BundleError
from nephro_monai.stages import SegmentKidneyTumord, SimpleCysts, View
from nephro_monai.systems import BASELINES, SYSTEMS, find_configurations
from nephro_monai.transforms import VoteMalignancyd

THREE = (View(), View(mirror=True), View(0.88, True))
COARSE = [[3.0, 3.0, 4.0]]


def rules(configs: tuple[str, ...]) -> tuple[tuple[View, ...], float, SimpleCysts | None, float, list]:
    """Views, bound on a tumor's probability, cysts, share that has a say, spacings of further networks."""
    steps = cascade_parser(configs=configs, overrides={"device_name": "cpu"}).get_parsed_content("inferer").transforms
    (segment,) = (step for step in steps if isinstance(step, SegmentKidneyTumord))
    (vote,) = (step for step in steps if isinstance(step, VoteMalignancyd))
    own = segment.settings
    others = [list(other.spacing_mm) for _, other in segment.others]
    return own.views, own.least_tumor_confidence, own.simple_cysts, vote.least_share, others


@pytest.mark.parametrize(
    ("configs", "expected"),
    [
        ((), (THREE, 0.7, SimpleCysts(), 0.1, COARSE)),
        (("one_vnet.json",), (THREE, 0.7, SimpleCysts(), 0.1, [])),
        (("coarse_vnet.json",), ((View(),), 0.0, None, 0.0, [])),
        (("color_nephro_net.json",), ((View(),), 0.0, None, 0.0, [])),
        (("faster_rcnn_vnet.json",), ((View(),), 0.0, None, 0.0, [])),
        (("inception_radiomics.json",), ((View(),), 0.0, None, 0.0, [])),
    ],
)
def test_rules_of_the_configurations(configs: tuple[str, ...], expected: tuple) -> None:
    assert rules(configs) == expected


def test_the_rules_are_options() -> None:
    parser = cascade_parser(overrides={"simple_cysts": None, "least_tumor_share": 0.3, "contrast_above_hu": -100})
    assert parser.get_parsed_content("simple_cysts") is None
    assert SimpleCysts().contrast_above_hu == 52, "not the bound of the warning, which may be turned off"


@pytest.mark.parametrize("views", [0.88, [[1.0]], [1.0, False], None, [], [[1, 0]], [[0.1, False]], "x"])
def test_views_that_are_none_are_told_in_words(views: object) -> None:
    with pytest.raises(BundleError, match="view") as caught:
        instantiate(cascade_parser(overrides={"views": views, "device_name": "cpu"}), "inferer#transforms#2#settings")
    assert "1.0, false" in str(caught.value) or "got" in str(caught.value)


def test_a_network_that_is_turned_off_alone_is_told_how_to_be() -> None:
    with pytest.raises(BundleError, match=r"one_vnet\.json"):
        instantiate(cascade_parser(overrides={"coarse_segmenter": None, "device_name": "cpu"}), "other_vnets")


@pytest.mark.parametrize("system", sorted({*SYSTEMS, *BASELINES} - {"enet_two_stage"}))  # it has no settings to change
@pytest.mark.parametrize("over", ["one_vnet.json", "coarse_vnet.json", "full_size.json"])
def test_what_is_laid_over_a_system_leaves_its_networks(system: str, over: str) -> None:
    def networks(parser: ConfigParser) -> dict:
        modules = parser["network_def#modules"]
        return parser["networks"] if modules == "@networks" else modules

    names = find_configurations(system)
    own, changed = cascade_parser(configs=names), cascade_parser(configs=(*names, over))
    assert networks(changed) == networks(own) and "coarse_segmenter" not in networks(own)
    for parser in (own, changed):
        assert "others" not in parser["inferer#transforms#2"] or parser["other_vnets"] == []
