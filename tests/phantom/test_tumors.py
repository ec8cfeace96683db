"""Subtypes look as documented, and not too much so."""

from __future__ import annotations

import numpy as np
import pytest

from nephro_monai.phantom.config import BENIGN_SUBTYPES, MALIGNANT_SUBTYPES, PhantomConfig
from nephro_monai.phantom.contrast import draw_tissue_hu
from nephro_monai.phantom.parameters import PARAMETERS
from nephro_monai.phantom.plan import draw_plan
from nephro_monai.phantom.tissues import PHASES, Tissue
from nephro_monai.phantom.tumors import draw_look


def _looks(subtype, phase="nephrographic", count=300):
    rng = np.random.default_rng(11)
    return [draw_look(rng, subtype, 150.0, phase, 40.0) for _ in range(count)]


@pytest.mark.parametrize(
    ("subtype", "sign", "low", "high"),
    [
        ("clear_cell_rcc", "necrosis", 0.78, 0.92),
        ("oncocytoma", "central_scar", 0.80, 0.94),
        ("oncocytoma", "necrosis", 0.0, 0.0),
        ("angiomyolipoma", "fat", 0.84, 0.96),
        ("papillary", "fat", 0.0, 0.0),
        ("chromophobe", "central_scar", 0.03, 0.2),
    ],
)
def test_signs_are_as_frequent_as_documented(subtype, sign, low, high):
    share = np.mean([sign in look.features for look in _looks(subtype)])
    assert low <= share <= high


def test_brightness_is_ordered_and_overlaps():
    hu = {name: np.array([look.solid_hu for look in _looks(name)]) for name in (*MALIGNANT_SUBTYPES, *BENIGN_SUBTYPES)}
    assert np.median(hu["papillary"]) < np.median(hu["chromophobe"]) < np.median(hu["oncocytoma"])
    assert hu["clear_cell_rcc"].max() > hu["oncocytoma"].min(), "brightness alone must not decide"
    assert hu["chromophobe"].max() > hu["angiomyolipoma"].min(), "brightness alone must not decide"


@pytest.mark.parametrize("phase", PHASES)
def test_tumors_differ_from_their_kidney(phase):
    for subtype in (*MALIGNANT_SUBTYPES, *BENIGN_SUBTYPES):
        kidney = 35.0 if phase == "none" else 150.0
        rng = np.random.default_rng(2)
        for _ in range(60):
            look = draw_look(rng, subtype, kidney, phase, 30.0)
            assert abs(look.solid_hu - kidney) > 3.9


@pytest.mark.parametrize("phase", PHASES)
def test_tissue_hu_stay_in_their_ranges(phase):
    column = PHASES.index(phase)
    for seed in range(40):
        hu = draw_tissue_hu(np.random.default_rng(seed), phase)
        for tissue, value in hu.items():
            low, high = PARAMETERS.tissue_hu[tissue][column]
            assert low <= value <= high, (tissue, value)
        if phase == "arterial":
            assert hu[Tissue.KIDNEY_MEDULLA] < hu[Tissue.KIDNEY_CORTEX]


def test_random_kinds_have_the_documented_shares():
    rng = np.random.default_rng(0)
    plans = [draw_plan(PhantomConfig(), rng) for _ in range(1500)]
    kinds = np.array([plan.kind for plan in plans])
    assert np.mean(kinds == "none") == pytest.approx(0.15, abs=0.03)
    assert np.mean(kinds[kinds != "none"] == "benign") == pytest.approx(0.43, abs=0.04)
    assert {plan.phase for plan in plans} == set(PHASES)
    specials = np.mean([plan.special != "ordinary" for plan in plans])
    assert specials == pytest.approx(0.18, abs=0.04)
