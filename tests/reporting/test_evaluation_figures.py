"""Figures of an evaluation: drawn for few and many cases, with and without bands."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from nephro_monai.reporting.evaluation_figures import (
    SizedDice,
    draw_confusion,
    draw_dice_by_size,
    draw_differences,
    draw_froc,
    draw_reliability,
    draw_roc,
)

ROC = {"false_positive_rate": [0, 0.2, 1], "true_positive_rate": [0, 0.8, 1], "band": None}
BAND = {"false_positive_rate": [0, 0.5, 1], "low": [0, 0.6, 1], "high": [0.3, 0.95, 1]}
BINS = {"counts": [3, 0, 5], "probabilities": [0.2, None, 0.9], "frequencies": [0.0, None, 0.8]}


def _colors(path) -> int:
    """Distinct colors of a picture; a blank one has one."""
    picture = np.asarray(Image.open(path).convert("RGB"))
    return len(np.unique(picture.reshape(-1, 3), axis=0))


@pytest.mark.parametrize("count", [1, 120])
def test_dice_by_size(tmp_path, count):
    rng = np.random.default_rng(0)
    sizes = SizedDice(
        [f"case_{i:05d}" for i in range(count)], rng.uniform(0.5, 200, count), rng.uniform(0, 1, count),
        [("0 to 20", 0.4, [0.2, 0.6], 3), ("70 and more", 0.9, None, 1)] if count > 1 else (),
    )  # fmt: skip
    draw_dice_by_size(sizes, tmp_path / "a.png", "Synthetic CT.")
    assert _colors(tmp_path / "a.png") > 20


def test_curves(tmp_path):
    draw_roc({"patients: AUC 0.80": {**ROC, "band": BAND}, "slices: AUC 0.70": ROC}, tmp_path / "roc.png")
    draw_reliability({"Patients": BINS, "Slices": BINS}, tmp_path / "reliability.png", "Synthetic CT.")
    draw_froc([0, 0, 0.5], [0, 0.4, 0.7], tmp_path / "froc.png")
    draw_differences({"composite": [0.1, -0.2, 0.3], "tumor Dice": [0.0]}, tmp_path / "pairs.png", ("A", "B"))
    assert all(_colors(tmp_path / f"{name}.png") > 20 for name in ("roc", "reliability", "froc", "pairs"))


def test_confusion_with_an_empty_class(tmp_path):
    row = {"benign": 2, "malignant": 1, "no call": 0}
    draw_confusion({"Patients": {"benign": row, "malignant": dict.fromkeys(row, 0)}}, tmp_path / "c.png")
    assert _colors(tmp_path / "c.png") > 20
