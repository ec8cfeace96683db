"""What the color table means."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from nephro_monai.networks.lab_color import ab_bin_centers, lab_to_rgb
from nephro_monai.phantom.tissues import LABEL_OF_TISSUE, Tissue
from nephro_monai.training.color_table import ColorTable

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "ct_colorization_cic"


@pytest.fixture(scope="module")
def shipped() -> ColorTable:
    config = json.loads((BUNDLE / "configs" / "train.json").read_text(encoding="utf-8"))
    return ColorTable(config["color_table"]["groups"])


def _color(table: ColorTable, tissue: Tissue, lightness: float = 60.0) -> tuple[float, ...]:
    ab = table.ab[table.group_of_tissue[int(tissue)]]
    lab = torch.cat([torch.tensor([lightness]), ab])[None, :, None, None]
    return tuple(lab_to_rgb(lab)[0, :, 0, 0].tolist())


def test_kidney_is_orange_organs_red_bone_white(shipped: ColorTable) -> None:
    red, green, blue = _color(shipped, Tissue.KIDNEY_CORTEX, 70.0)
    assert red > 0.9 and 0.4 < green < 0.75 and blue < 0.3
    red, green, blue = _color(shipped, Tissue.LIVER)
    assert red > 0.8 and green < 0.5 and blue < 0.5
    assert _color(shipped, Tissue.CORTICAL_BONE, 95.0) == pytest.approx((0.94, 0.94, 0.94), abs=0.01)


def test_tumor_is_far_from_every_other_color(shipped: ColorTable) -> None:
    tumor = shipped.names.index("tumor")
    distance = torch.cdist(shipped.ab[tumor][None], shipped.ab)[0]
    distance[tumor] = float("inf")
    assert distance.min() > 50


def test_colors_know_tissue_not_malignancy(shipped: ColorTable) -> None:
    """One color for whatever KiTS19 calls tumor, and none of it anywhere else."""
    tumor = shipped.names.index("tumor")
    for tissue in Tissue:
        assert (shipped.group_of_tissue[int(tissue)] == tumor) == (LABEL_OF_TISSUE[tissue] == 2), tissue.name


def test_kidney_and_its_cysts_share_a_color(shipped: ColorTable) -> None:
    kidney = shipped.names.index("kidney")
    assert all(shipped.group_of_tissue[int(t)] == kidney for t in Tissue if LABEL_OF_TISSUE[t] == 1)


def test_air_and_gas_stay_as_they_are(shipped: ColorTable) -> None:
    for tissue in (Tissue.AIR, Tissue.LUNG, Tissue.BOWEL_GAS, Tissue.TABLE):
        assert shipped.group_of_tissue[int(tissue)] == 0
    assert not shipped.ab[0].any()


def test_soft_encoding_keeps_the_color(shipped: ColorTable) -> None:
    centers = ab_bin_centers(313)
    encoding = shipped.soft_encoding(centers)
    torch.testing.assert_close(encoding.sum(1), torch.ones(len(shipped.names)))
    assert ((encoding > 0).sum(1) <= 5).all()
    assert (encoding @ centers - shipped.ab).norm(dim=1).max() < 3.5  # a grid of spacing 10


def test_rare_colors_weigh_more_and_the_mean_weight_is_one() -> None:
    table = ColorTable({"rare": {"ab": [50, 0], "tissues": [1]}, "common": {"ab": [0, 50], "tissues": [2]}})
    fractions = [0.6, 0.02, 0.38] + [0.0] * 253
    unchanged, rare, common = table.group_weights(fractions, bins=313).tolist()
    assert rare > common > unchanged
    assert 0.6 * unchanged + 0.02 * rare + 0.38 * common == pytest.approx(1.0, abs=1e-5)
    raw = [1 / (0.5 * share + 0.5 / 313) for share in (0.6, 0.02, 0.38)]  # Zhang 2016, equation 4
    assert rare / unchanged == pytest.approx(raw[1] / raw[0], rel=1e-5)


def test_maps_mix_colors_where_tissues_share_a_pixel() -> None:
    table = ColorTable({"a": {"ab": [40, 0], "tissues": [1]}, "b": {"ab": [0, -20], "tissues": [2]}})
    maps = table.group_maps(torch.tensor([[[[1, 2]]]], dtype=torch.uint8))
    assert maps.shape == (1, 3, 1, 2)
    torch.testing.assert_close(table.ab_maps(maps)[0, :, 0], torch.tensor([[40.0, 0.0], [0.0, -20.0]]))
    torch.testing.assert_close(table.ab_maps(maps.mean(3, keepdim=True))[0, :, 0, 0], torch.tensor([20.0, -10.0]))


@pytest.mark.parametrize(
    "groups",
    [
        {"a": {"ab": [1, 2], "tissues": [3]}, "b": {"ab": [1, 2], "tissues": [3]}},
        {"a": {"ab": [1, 2], "tissues": [300]}},
        {"a": {"ab": [1], "tissues": [3]}},
    ],
)
def test_wrong_tables_are_refused(groups: dict) -> None:
    with pytest.raises(ValueError, match=r"'a'|'b'"):
        ColorTable(groups)
