from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nephro_monai.phantom import MassRanges, Tissue
from nephro_monai.phantom.synthesis_masses import _some_voxels, _surface, add_cysts, add_masses, settle_own_tumors

SPACING = (2.0, 2.0, 3.0)


def kidney_in_fat(batch: int = 6, shape: tuple[int, int, int] = (64, 64, 44)) -> torch.Tensor:
    maps = torch.full((batch, *shape), int(Tissue.VISCERAL_FAT), dtype=torch.uint8)
    maps[:, 20:40, 20:40, 12:32] = Tissue.KIDNEY_CORTEX
    return maps


@pytest.mark.parametrize("diameter", [10.0, 24.0, 40.0])
def test_masses_have_the_drawn_size(diameter: float) -> None:
    torch.manual_seed(0)
    maps = kidney_in_fat()
    ranges = MassRanges(mass_share=1.0, diameter_mm=(diameter, diameter), buried=(0.0, 0.0), lumps=(0.02, 0.1))
    depth = add_masses(maps, SPACING, ranges)
    tumor = maps == Tissue.TUMOR_SOLID
    assert torch.equal(tumor, depth > 0)
    found = 2 * (tumor.sum((1, 2, 3)) * math.prod(SPACING) * 3 / (4 * math.pi)) ** (1 / 3)
    assert (found > 0.75 * diameter).all() and (found < 1.25 * diameter).all()
    assert depth.amax((1, 2, 3)).max() < 0.75 * diameter


def test_masses_start_at_the_surface_and_point_outward() -> None:
    torch.manual_seed(1)
    outside, inside = kidney_in_fat(8), kidney_in_fat(8)
    for maps, place in ((outside, (0.6, 0.6)), (inside, (-0.75, -0.75))):
        add_masses(maps, SPACING, MassRanges(mass_share=1.0, diameter_mm=(20.0, 20.0), buried=place))
    whole = int((kidney_in_fat(1) == Tissue.KIDNEY_CORTEX).sum())
    lost = [whole - (maps == Tissue.KIDNEY_CORTEX).sum((1, 2, 3)).float().mean() for maps in (outside, inside)]
    assert lost[1] > 1.8 * lost[0] > 0


def test_bone_and_large_vessels_do_not_yield() -> None:
    torch.manual_seed(2)
    maps = kidney_in_fat(8)
    maps[:, 40:, :, :] = Tissue.TRABECULAR_BONE
    maps[:, :, 40:, :] = Tissue.AORTA
    before = maps.clone()
    add_masses(maps, SPACING, MassRanges(mass_share=1.0, diameter_mm=(60.0, 60.0)))
    for tissue in (Tissue.TRABECULAR_BONE, Tissue.AORTA):
        assert torch.equal(maps == tissue, before == tissue)


def test_patches_without_kidney_get_nothing() -> None:
    maps = torch.full((3, 32, 32, 32), int(Tissue.LIVER), dtype=torch.uint8)
    depth = add_masses(maps, SPACING, MassRanges(mass_share=1.0))
    add_cysts(maps, SPACING, MassRanges(cyst_share=1.0))
    assert (maps == Tissue.LIVER).all() and (depth < 0).all()


def test_the_share_of_patches_with_a_mass() -> None:
    torch.manual_seed(3)
    maps = torch.full((200, 12, 12, 12), int(Tissue.KIDNEY_CORTEX), dtype=torch.uint8)
    maps[:, :4] = Tissue.VISCERAL_FAT
    add_masses(maps, SPACING, MassRanges(mass_share=0.4, diameter_mm=(12.0, 14.0)))
    share = (maps == Tissue.TUMOR_SOLID).flatten(1).any(1).float().mean()
    assert 0.3 < share < 0.5


def test_cysts_stay_in_kidney_and_fat() -> None:
    torch.manual_seed(4)
    maps = kidney_in_fat(8)
    maps[:, :, 42:] = Tissue.MUSCLE
    add_cysts(maps, SPACING, MassRanges(cyst_share=1.0, cyst_diameter_mm=(20.0, 30.0), most_cysts=2))
    assert (maps == Tissue.KIDNEY_CYST).flatten(1).any(1).all()
    assert (maps[:, :, 42:] == Tissue.MUSCLE).all()
    sizes = (maps == Tissue.KIDNEY_CYST).sum((1, 2, 3)) * math.prod(SPACING) / 1000
    assert sizes.min() > 2 and sizes.max() < 35


def test_small_tumors_may_go_large_ones_stay() -> None:
    torch.manual_seed(5)
    small, large = kidney_in_fat(60, (44, 44, 36)), kidney_in_fat(4)
    small[:, 20:26, 20:26, 14:20] = Tissue.TUMOR_NECROSIS
    large[:, 24:, 24:, 14:] = Tissue.TUMOR_SOLID
    for maps in (small, large):
        settle_own_tumors(maps, SPACING, MassRanges(keep_share=0.5))
    kept = (small == Tissue.TUMOR_NECROSIS).flatten(1).any(1).float().mean()
    assert 0.3 < kept < 0.7
    gone = small[~(small == Tissue.TUMOR_NECROSIS).flatten(1).any(1)]
    assert (gone[:, 20:26, 20:26, 14:20] == Tissue.KIDNEY_CORTEX).all()
    assert (large == Tissue.TUMOR_SOLID).flatten(1).any(1).all()


def test_surface_and_choice_of_voxels_against_numpy() -> None:
    mask = torch.rand(5, 9, 8, 7, generator=torch.Generator().manual_seed(6)) < 0.3
    mask[4] = False
    share = torch.tensor([0.0, 0.3, 0.7, 0.999, 0.5])
    for b, place in enumerate(_some_voxels(mask, share)):
        voxels = np.argwhere(mask[b].numpy())
        expected = voxels[int(float(share[b]) * len(voxels))].tolist() if len(voxels) else None
        assert place == expected
    solid = kidney_in_fat(1) == Tissue.KIDNEY_CORTEX
    assert int(_surface(solid).sum()) == 20**3 - 18**3
    assert not _surface(torch.ones(1, 5, 5, 5, dtype=torch.bool)).any(), "the rim of a patch is no surface"


def test_cysts_bulge_out_of_the_kidney_where_they_are_pushed_out() -> None:
    """A ball whose center lies 0.6 radii outside of a flat face has 0.104 of its volume inside (spherical cap)."""
    shares = []
    for place in (0.6, -0.9):
        torch.manual_seed(7)
        maps = torch.full((12, 60, 60, 60), int(Tissue.VISCERAL_FAT), dtype=torch.uint8)
        maps[:, :30] = Tissue.KIDNEY_CORTEX
        kidney = maps == Tissue.KIDNEY_CORTEX
        ranges = MassRanges(cyst_share=1.0, most_cysts=1, cyst_diameter_mm=(20.0, 20.0), cyst_buried=(place, place))
        add_cysts(maps, (1.0, 1.0, 1.0), ranges)
        cyst = maps == Tissue.KIDNEY_CYST
        inside = (cyst & kidney).sum((1, 2, 3)) / cyst.sum((1, 2, 3))
        shares.append(float(inside.median()))
    assert shares[0] == pytest.approx(0.104, abs=0.05)
    assert shares[1] == pytest.approx(0.993, abs=0.02)
