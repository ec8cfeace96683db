from __future__ import annotations

import pytest

from nephro_monai.stages import SegmentSettings, View, views_of


@pytest.mark.parametrize("wrong", [{"least_tumor_confidence": "high"}, {"least_tumor_confidence": 7}, {"views": ()}])
def test_settings_out_of_range_are_refused_before_any_scan(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SegmentSettings(**wrong)


@pytest.mark.parametrize(
    ("pairs", "said"),
    [([[0.1, False]], "0.5 to 2"), ([["x", False]], "'x'"), ([[1.0, 3]], "mirror"), (True, "list"), ([1.0], "list"),
     ([[1.0]], "list"), ([], "at least one")],
)  # fmt: skip
def test_views_of_a_configuration_are_checked(pairs, said):
    with pytest.raises(ValueError, match=said):
        SegmentSettings(views=views_of(pairs))


def test_views_of_a_configuration():
    assert views_of([[1.0, False], [0.88, True]]) == (View(), View(0.88, True))
