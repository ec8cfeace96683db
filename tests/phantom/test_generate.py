"""Whole cases on small grids."""

from __future__ import annotations

import functools
import json

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from nephro_monai.constants import TUMOR
from nephro_monai.phantom import LABEL_OF_TISSUE, PhantomConfig, Tissue, generate_case
from nephro_monai.phantom.config import BENIGN_SUBTYPES, MALIGNANT_SUBTYPES
from nephro_monai.phantom.parameters import PARAMETERS
from nephro_monai.phantom.tissues import PHASES

SHAPE = (32, 112, 112)


@functools.cache
def _case(seed=1, **settings):
    return generate_case(PhantomConfig(shape=SHAPE, **{"special": "ordinary", **settings}), seed, keep_ideal=True)


def test_the_same_seed_gives_the_same_voxels():
    config = PhantomConfig(shape=(16, 64, 64))
    first, second, other = (generate_case(config, [4, k]) for k in (0, 0, 1))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.tissues, second.tissues)
    assert first.record == second.record
    assert (first.image != other.image).any()


def test_arrays_and_affine_are_as_in_kits19():
    case = _case(subtype="clear_cell_rcc")
    assert case.image.dtype == np.int16 and case.label.dtype == case.tissues.dtype == np.uint8
    assert case.image.shape == case.label.shape == case.tissues.shape == SHAPE
    assert nib.aff2axcodes(case.affine) == ("I", "P", "L")
    spacing = case.record["voxel_spacing"]
    np.testing.assert_allclose(nib.affines.voxel_sizes(case.affine), [spacing[f"{k}_spacing"] for k in "zyx"])
    assert 0.5 <= spacing["z_spacing"] <= 5


def test_labels_follow_tissues():
    case = _case(subtype="clear_cell_rcc")
    np.testing.assert_array_equal(case.label, LABEL_OF_TISSUE[case.tissues])
    assert set(np.unique(case.label)) == {0, 1, 2}
    solid = case.tissues == Tissue.TUMOR_SOLID
    assert solid.any() and (case.label[solid] == 2).all()


def test_the_abdomen_holds_what_can_be_mistaken_for_a_kidney():
    found = set()
    for seed in (1, 2):
        found |= set(np.unique(_case(seed, kind="none").tissues).tolist())
    wanted = {
        Tissue.LIVER, Tissue.SPLEEN, Tissue.MUSCLE, Tissue.AORTA, Tissue.VENA_CAVA, Tissue.BOWEL_WALL, Tissue.PANCREAS,
        Tissue.CORTICAL_BONE, Tissue.TRABECULAR_BONE, Tissue.DISC, Tissue.SPINAL_CANAL, Tissue.SUBCUTANEOUS_FAT,
        Tissue.VISCERAL_FAT, Tissue.SKIN, Tissue.KIDNEY_CORTEX, Tissue.KIDNEY_MEDULLA,
    }  # fmt: skip
    assert wanted <= found


@pytest.mark.parametrize("phase", PHASES)
def test_tissues_have_their_hu_before_noise(phase):
    case = _case(5, kind="none", phase=phase)
    column = PHASES.index(phase)
    checked = 0
    for tissue, ranges in PARAMETERS.tissue_hu.items():
        voxels = case.ideal_hu[case.tissues == tissue]
        if len(voxels) > 300 and tissue is not Tissue.AIR:
            low, high = ranges[column]
            assert low - 30 <= np.median(voxels) <= high + 30, tissue
            checked += 1
    assert checked >= 10


def test_acquisition_keeps_means_and_adds_noise():
    case = _case(5, kind="none", phase="nephrographic")
    inside = ndimage.binary_erosion(case.tissues == Tissue.LIVER, iterations=2)
    assert case.image[inside].mean() == pytest.approx(case.ideal_hu[inside].mean() * 1.0, abs=25)
    assert case.image[inside].std() > case.ideal_hu[inside].std()
    assert np.median(case.image[case.tissues == Tissue.AIR]) < -900
    assert case.image.min() >= -1024 and case.image.max() <= 3071


@pytest.mark.parametrize("subtype", [*MALIGNANT_SUBTYPES, *BENIGN_SUBTYPES])
def test_every_subtype_can_be_made(subtype):
    case = _case(3, subtype=subtype)
    record = case.record
    assert record["tumor_histologic_subtype"] == record["phantom"]["subtype"] == subtype
    assert record["malignant"] is (subtype in MALIGNANT_SUBTYPES)
    assert (case.label == 2).any() and record["radiographic_size"] > 0


def test_tumor_features_are_painted():
    features = {
        "necrosis": Tissue.TUMOR_NECROSIS, "central_scar": Tissue.TUMOR_SCAR, "fat": Tissue.TUMOR_FAT,
    }  # fmt: skip
    for subtype in ("clear_cell_rcc", "oncocytoma", "angiomyolipoma"):
        case = _case(3, subtype=subtype)
        for feature, tissue in features.items():
            if (case.tissues == tissue).any():
                assert feature in case.record["phantom"]["features"]
    fat = _case(3, subtype="angiomyolipoma")
    if "fat" in fat.record["phantom"]["features"]:
        assert fat.ideal_hu[fat.tissues == Tissue.TUMOR_FAT].mean() < 0


def test_records_hold_the_looks_that_were_drawn():
    case = _case(3, subtype="angiomyolipoma", phase="nephrographic")
    phantom = case.record["phantom"]
    assert len(phantom["looks"]) == phantom["tumors"] and json.loads(json.dumps(phantom)) == phantom
    low, high = PARAMETERS.tissue_hu[Tissue.KIDNEY_CORTEX][PHASES.index("nephrographic")]
    assert 0.9 * low <= phantom["kidney_hu"] <= 1.05 * high, "mostly cortex"
    sizes = [look["diameter_mm"] for look in phantom["looks"]]
    volume = (case.label == 2).sum() * float(np.prod([*case.record["voxel_spacing"].values()]))
    assert sum(np.pi / 6 * size**3 for size in sizes) == pytest.approx(volume, rel=0.25)
    ranges = PARAMETERS.looks["angiomyolipoma"]
    for look in phantom["looks"]:
        assert ranges.coarse_hu[0] <= look["coarse_hu"] <= ranges.coarse_hu[1]
        assert ranges.fine_hu[0] <= look["fine_hu"] <= ranges.fine_hu[1]
        solid = case.ideal_hu[case.tissues == Tissue.TUMOR_SOLID]
        assert np.median(solid) == pytest.approx(look["solid_hu"], abs=15)


def test_no_tumor_means_no_tumor():
    case = _case(kind="none")
    assert case.record["phantom"]["looks"] == []
    assert not (case.label == 2).any() and (case.label == 1).any()
    assert case.record["malignant"] is None and case.record["tumor_histologic_subtype"] is None
    assert case.record["radiographic_size"] is None


def test_one_kidney():
    case = _case(6, special="one_kidney", kind="none")
    columns = np.argwhere(case.label > 0)[:, 2]
    other = _case(6, special="ordinary", kind="none")
    assert np.ptp(columns) < 0.75 * np.ptp(np.argwhere(other.label > 0)[:, 2])


def test_touching_kidneys_are_one_component():
    case = _case(6, special="touching_kidneys", kind="none")
    components, _ = ndimage.label(case.label > 0)
    largest = np.bincount(components.ravel())[1:].max()
    assert largest > 0.9 * (case.label > 0).sum()


def test_huge_and_tiny_tumors():
    huge, tiny = (
        _case(8, special=s, kind="malignant").record["radiographic_size"] for s in ("huge_tumor", "tiny_tumor")
    )
    assert huge > 8 and tiny < 2.5


def test_no_contrast_and_metal():
    plain = _case(9, special="no_contrast", kind="none")
    assert plain.record["phantom"]["phase"] == "none"
    assert np.median(plain.ideal_hu[plain.label == 1]) < 60
    metal = _case(9, special="metal", kind="none")
    assert metal.image.max() > 2000 and metal.record["phantom"]["special"] == "metal"


def test_shape_is_drawn_from_kits19_where_none_is_given():
    from nephro_monai.phantom.plan import draw_plan
    from nephro_monai.phantom.scene import build_scene

    for seed in range(4):
        rng = np.random.default_rng(seed)
        config = PhantomConfig()
        grid = build_scene(config, draw_plan(config, rng), rng).grid
        assert grid.shape[1:] == (512, 512) and 29 <= grid.shape[0] <= 320
        assert 0.5 <= grid.spacing[0] <= 5 and 0.43 <= grid.spacing[1] <= 1.05


@pytest.mark.parametrize(
    "settings",
    [
        {"shape": (4, 64, 64)},
        {"shape": (64, 64)},
        {"kind": "unknown"},
        {"phase": "late"},
        {"special": "two_heads"},
        {"subtype": "wilms"},
        {"benign_share": 1.2},
        {"kind": "benign", "subtype": "papillary"},
        {"kind": "none", "special": "huge_tumor"},
        {"special": "no_contrast", "phase": "arterial"},
    ],
)
def test_bad_settings_are_refused(settings):
    with pytest.raises(ValueError, match=r"must|needs|fit"):
        PhantomConfig(**settings)


@pytest.mark.parametrize(("what", "margin_mm"), [("kidneys", 40.0), ("tumors", 20.0)])
def test_close_fields_of_view(what, margin_mm):
    """Everything asked for is inside, with room around it, at KiTS19's pixel sizes and slice thicknesses."""
    case = generate_case(PhantomConfig(kind="malignant", special="ordinary", field_of_view=what), 5)
    wanted = case.label == TUMOR if what == "tumors" else case.label > 0
    assert wanted.any() and (case.label == TUMOR).any()
    thickness, row, column = np.linalg.norm(case.affine[:3, :3], axis=0)
    assert row == column and 0.43 < row < 1.05 and 0.5 <= thickness <= 5
    for axis, spacing in ((1, row), (2, column)):
        found = np.flatnonzero(wanted.any(axis=tuple({0, 1, 2} - {axis})))
        assert min(found[0], wanted.shape[axis] - 1 - found[-1]) * spacing > margin_mm
    assert case.image.nbytes < 2 * 512 * 512 * wanted.shape[0] / 1.5, "smaller than a whole abdomen"


def test_field_of_view_and_other_settings_must_agree():
    with pytest.raises(ValueError, match="field_of_view must be one of"):
        PhantomConfig(field_of_view="head")
    with pytest.raises(ValueError, match="sets the shape itself"):
        PhantomConfig(field_of_view="kidneys", shape=(48, 64, 64))
    with pytest.raises(ValueError, match="needs a tumor"):
        PhantomConfig(field_of_view="tumors", kind="none")
