"""Which configuration of the cascade asks what before it calls something a tumor."""

from __future__ import annotations

import pytest

from nephro_monai.engine.cascade import cascade_parser
from nephro_monai.stages import SegmentKidneyTumord, SimpleCysts
from nephro_monai.transforms import VoteMalignancyd


def rules(configs: tuple[str, ...]) -> tuple[int, float, SimpleCysts | None, float, int]:
    """Views, bound on a tumor's probability, cysts, share that has a say, further networks."""
    steps = cascade_parser(configs=configs, overrides={"device_name": "cpu"}).get_parsed_content("inferer").transforms
    (segment,) = (step for step in steps if isinstance(step, SegmentKidneyTumord))
    (vote,) = (step for step in steps if isinstance(step, VoteMalignancyd))
    own = segment.settings
    return len(own.views), own.least_tumor_confidence, own.simple_cysts, vote.least_share, len(segment.others)


@pytest.mark.parametrize(
    ("configs", "expected"),
    [
        ((), (3, 0.7, SimpleCysts(), 0.1, 1)),
        (("one_vnet.json",), (3, 0.7, SimpleCysts(), 0.1, 0)),
        (("coarse_vnet.json",), (1, 0.0, None, 0.0, 0)),
        (("color_nephro_net.json",), (1, 0.0, None, 0.0, 0)),
        (("faster_rcnn_vnet.json",), (1, 0.0, None, 0.0, 0)),
        (("inception_radiomics.json",), (1, 0.0, None, 0.0, 0)),
    ],
)
def test_rules_of_the_configurations(configs: tuple[str, ...], expected: tuple) -> None:
    assert rules(configs) == expected


def test_the_rules_are_options() -> None:
    parser = cascade_parser(overrides={"simple_cysts": None, "least_tumor_share": 0.3, "contrast_above_hu": -100})
    assert parser.get_parsed_content("simple_cysts") is None
    assert SimpleCysts().contrast_above_hu == 52, "not the bound of the warning, which may be turned off"
