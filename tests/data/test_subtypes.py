"""The grouping of subtypes agrees with KiTS19's own records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nephro_monai.data import SUBTYPE_IS_MALIGNANT, malignancy_of_subtype
from nephro_monai.phantom.config import BENIGN_SUBTYPES, MALIGNANT_SUBTYPES


def test_the_papers_grouping() -> None:
    malignant = ("clear_cell_rcc", "chromophobe", "papillary")
    assert all(malignancy_of_subtype(subtype) for subtype in malignant)
    assert malignancy_of_subtype("oncocytoma") is False and malignancy_of_subtype("angiomyolipoma") is False


@pytest.mark.parametrize("subtype", [None, "", "other"])
def test_the_unknown_stays_unknown(subtype: str | None) -> None:
    assert malignancy_of_subtype(subtype) is None


def test_it_agrees_with_the_phantom() -> None:
    assert all(SUBTYPE_IS_MALIGNANT[subtype] for subtype in MALIGNANT_SUBTYPES)
    assert not any(SUBTYPE_IS_MALIGNANT[subtype] for subtype in BENIGN_SUBTYPES)


def test_it_agrees_with_kits19(shared: Path) -> None:
    records = json.loads((shared / "kits19" / "data" / "kits.json").read_text())
    assert len(records) > 100
    for record in records:
        assert malignancy_of_subtype(record["tumor_histologic_subtype"]) is record["malignant"], record["case_id"]
