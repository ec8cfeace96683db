"""The page of pictures of the phantom generator."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from nephro_monai.cli.main import app
from nephro_monai.phantom import PhantomCase, Tissue
from nephro_monai.reporting import phantom_preview
from nephro_monai.reporting.phantom_planes import body_planes, draw_hu, draw_tissues, lesion_planes
from nephro_monai.reporting.preview_anatomy import show_build
from nephro_monai.reporting.preview_parts import CaseMaker, describe_tumor, mean_hu, tumor_mm
from nephro_monai.reporting.preview_scanner import show_acquisition, show_on_the_fly
from nephro_monai.reporting.tissue_colors import TISSUE_COLORS, TISSUE_GROUPS

MAKER = CaseMaker(seed=4, body_shape=(16, 48, 48))


def _pixels(uri: str) -> np.ndarray:
    assert uri.startswith("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1]))))


@pytest.fixture
def case() -> PhantomCase:
    """4 slices of 5 mm, 6 x 6 pixels of 2 mm: a tumor of 2 x 2 pixels in slice 2, kidney below it."""
    label = np.zeros((4, 6, 6), np.uint8)
    label[1:3, 2:4, 3:5], label[2, 2:4, 3:5] = 1, 2
    tissues = np.full(label.shape, Tissue.VISCERAL_FAT, np.uint8)
    tissues[:, 0] = Tissue.AIR
    tissues[label == 1], tissues[label == 2] = Tissue.KIDNEY_CORTEX, Tissue.TUMOR_SOLID
    hu = np.full(label.shape, -100, np.float32)
    hu[label == 1], hu[label == 2] = 150, 60
    facts = {"phase": "arterial", "features": ["central_scar"], "source_label_case": None}
    spacing = {"x_spacing": 2.0, "y_spacing": 2.0, "z_spacing": 5.0}
    record = {"voxel_spacing": spacing, "radiographic_size": 0.7, "phantom": facts}
    return PhantomCase(hu.astype(np.int16), label, tissues, np.eye(4), record, ideal_hu=hu)


def test_planes_go_through_the_tumor(case: PhantomCase) -> None:
    axial, coronal = body_planes(case)
    assert (axial.index, coronal.index) == (2, 2)
    assert axial.of(case.label).shape == (6, 6)  # air in front, within the margin of 4
    crop, _ = lesion_planes(case, margin_mm=2, least_mm=0)
    assert 2 in crop.of(case.label)
    assert crop.rows == slice(0, 5)  # 5 mm thick, so 2.5 + 2 mm to either side of row 2


def test_pictures_show_hu_tissues_and_outlines(case: PhantomCase) -> None:
    axial, coronal = body_planes(case)
    picture = draw_hu(case, case.image, axial, window_hu=(-100, 155))
    pixels = _pixels(picture.uri)
    assert pixels.shape == (6, 6)
    assert pixels[2, 3] == 160 and pixels[5, 0] == 0  # 60 HU is 160 above the window's lower end
    assert picture.tumor and picture.view_box == "0 0 12 12"
    assert (draw_hu(case, case.image, coronal).height, picture.width) == (10, 6)  # 20 mm at 2 mm a pixel
    colored = _pixels(draw_tissues(case, case.tissues, axial).uri)
    assert tuple(colored[2, 3]) == tuple(TISSUE_COLORS[Tissue.TUMOR_SOLID])


def test_captions_give_the_numbers_drawn(case: PhantomCase) -> None:
    assert tumor_mm(case) == pytest.approx(7)
    assert mean_hu(case, Tissue.KIDNEY_CORTEX) == "150" and mean_hu(case, Tissue.SPLEEN) == "-"
    assert describe_tumor(case) == "7 mm, solid part 60 HU, cortex 150 HU, central scar"


def test_every_tissue_has_a_color_in_the_legend() -> None:
    shown = [tissue for _, tissues in TISSUE_GROUPS.values() for tissue in tissues]
    assert sorted(shown) == sorted(Tissue)


def test_build_shows_each_part_that_paints() -> None:
    (group,) = show_build(MAKER).groups
    titles = [panel.title for panel in group.panels]
    assert titles == [
        "1. Body", "2. Renal vessels", "3. Organs", "4. Kidneys", "5. Cysts", "6. Tumors", "7. Ideal HU",
        "8. Acquired HU",
    ]  # fmt: skip
    body, tumors = _pixels(group.panels[0].pictures[0].uri), _pixels(group.panels[5].pictures[0].uri)
    red = np.array(TISSUE_COLORS[Tissue.TUMOR_SOLID])
    assert not (body == red).all(axis=-1).any() and (tumors == red).all(axis=-1).any()


def test_each_part_of_the_scanner_does_what_its_caption_says() -> None:
    (group,) = show_acquisition(CaseMaker(seed=4, body_shape=(10, 128, 128))).groups
    pictures = {panel.title: _pixels(panel.pictures[0].uri).astype(float) for panel in group.panels}
    ideal = pictures["Ideal HU"]
    roughness = {name: np.abs(np.diff(pixels, axis=1)).mean() for name, pixels in pictures.items()}
    assert roughness["Blur, high"] < roughness["Ideal HU"] < roughness["White noise"]
    assert roughness["Soft kernel"] < roughness["White noise"]
    assert np.abs(pictures["Metal"] - ideal).max() > 50


def test_page_is_self_contained_and_says_that_it_is_synthetic() -> None:
    html = phantom_preview.render_preview([show_on_the_fly(MAKER)], MAKER)
    assert "Every picture on this page is synthetic" in html
    assert not re.findall(r"(?:src|href)=\"(?!data:image/png|#)", html) and "<script" not in html
    assert html.count("<img") == 16


def test_preview_works_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phantom_preview, "PREVIEW_SECTIONS", (show_build,))
    result = CliRunner().invoke(app, ["phantom", "--preview", str(tmp_path / "pictures"), "--seed", "4"])
    assert result.exit_code == 0, result.output
    assert "How a case is built" in (tmp_path / "pictures" / phantom_preview.PREVIEW_FILE).read_text("utf-8")


@pytest.mark.parametrize(
    "arguments", [[], ["--cases", "1"], ["--out", "somewhere"], ["--preview", "a", "--cases", "1"]]
)
def test_half_an_order_is_refused(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["phantom", *arguments])
    assert result.exit_code == 2 and "--preview" in result.output
