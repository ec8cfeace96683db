"""Which pictures are drawn."""

from __future__ import annotations

from PIL import Image

from nephro_monai.evaluation import evaluate_cohort, write_figures
from nephro_monai.evaluation.figures import FIGURES


def test_pictures_of_a_run(data, predictions, tmp_path):
    rows, summary = evaluate_cohort(predictions, data)
    names = write_figures(rows, summary, tmp_path / "new")
    assert names == list(FIGURES)
    for name in names:
        assert min(Image.open(tmp_path / "new" / name).size) > 200


def test_label_maps_alone_have_no_curves_and_old_ones_go(data, predictions, tmp_path):
    for path in predictions.glob("*/diagnosis.json"):
        path.unlink()
    (tmp_path / "roc.png").touch()
    names = write_figures(*evaluate_cohort(predictions, data), tmp_path)
    assert names == ["dice_by_tumor_size.png", "froc.png"]
    assert not (tmp_path / "roc.png").exists()
