"""CT from tissue maps: HU against the table, labels against the look-up, tumors, repeatability."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nephro_monai.phantom import (
    LABEL_OF_TISSUE,
    AcquisitionRanges,
    CTSynthesis,
    MassRanges,
    SynthesisSettings,
    Tissue,
)
from nephro_monai.phantom.contrast import draw_tissue_hu
from nephro_monai.phantom.parameters import PARAMETERS
from nephro_monai.phantom.synthesis_masses import TUMOR_TISSUES
from nephro_monai.phantom.synthesis_tissues import draw_hu, draw_phases
from nephro_monai.phantom.tissues import PHASES

NONE = MassRanges(mass_share=0.0, keep_share=1.0, cyst_share=0.0)
CLEAN = AcquisitionRanges(
    blur_mm=(0.01, 0.01), thick_share=0.0, slice_overlap=(0.0, 0.0), noise_hu=(0.01, 0.01), gain=0.0, offset_hu=0.0,
    streak_share=0.0,
)  # fmt: skip


def anatomy(batch: int = 4, shape: tuple[int, int, int] = (40, 36, 28)) -> torch.Tensor:
    """A kidney of cortex and medulla in fat, between liver, muscle and bone (B, 1, X, Y, Z)."""
    maps = torch.full((batch, 1, *shape), int(Tissue.VISCERAL_FAT), dtype=torch.uint8)
    maps[..., :5, :, :] = Tissue.LIVER
    maps[..., :5, :] = Tissue.MUSCLE
    maps[..., 34:, 28:, :] = Tissue.TRABECULAR_BONE
    maps[..., 10:26, 10:26, 6:22] = Tissue.KIDNEY_CORTEX
    maps[..., 14:22, 14:22, 10:18] = Tissue.KIDNEY_MEDULLA
    return maps


def test_phases_have_their_shares() -> None:
    torch.manual_seed(0)
    drawn = torch.bincount(draw_phases(4000), minlength=len(PHASES)) / 4000
    np.testing.assert_allclose(drawn.numpy(), PARAMETERS.phase_shares, atol=0.03)


@pytest.mark.parametrize("phase", range(len(PHASES)))
def test_hu_lie_in_the_table_and_are_correlated_as_in_the_generator(phase: int) -> None:
    torch.manual_seed(1)
    hu = draw_hu(torch.full((600,), phase))
    rng = np.random.default_rng(0)
    reference = [draw_tissue_hu(rng, PHASES[phase]) for _ in range(600)]
    for tissue, ranges in PARAMETERS.tissue_hu.items():
        low, high = ranges[phase]
        assert hu[:, tissue].min() >= low - 1 and hu[:, tissue].max() <= high + 1, tissue
        expected = [drawn[tissue] for drawn in reference]
        assert abs(float(hu[:, tissue].mean()) - np.mean(expected)) < 0.06 * (high - low) + 0.5, tissue
        assert abs(float(hu[:, tissue].std()) - np.std(expected)) < 0.06 * (high - low) + 0.5, tissue
    for one, other in (
        (Tissue.AORTA, Tissue.ARTERY), (Tissue.VEIN, Tissue.LIVER), (Tissue.KIDNEY_CORTEX, Tissue.KIDNEY_MEDULLA),
        (Tissue.SUBCUTANEOUS_FAT, Tissue.VISCERAL_FAT), (Tissue.MUSCLE, Tissue.LIVER),
    ):  # fmt: skip
        correlation = np.corrcoef(hu[:, one], hu[:, other])[0, 1]
        expected = np.corrcoef([d[one] for d in reference], [d[other] for d in reference])[0, 1]
        assert abs(correlation - expected) < 0.12, (one, other)


def test_patches_show_the_tables_hu() -> None:
    maps = anatomy(12)
    torch.manual_seed(2)
    made = CTSynthesis(SynthesisSettings(masses=NONE, acquisition=CLEAN)).draw(maps)
    assert made.hu.shape == maps.shape and made.hu.dtype == torch.float32
    assert made.label.shape == maps.shape and made.label.dtype == torch.uint8
    assert torch.equal(made.tissues, maps), "nothing was put in"
    for b, phase in enumerate(made.phases):
        for tissue in maps.unique().tolist():
            low, high = PARAMETERS.tissue_hu[Tissue(tissue)][PHASES.index(phase)]
            mean = float(made.hu[b][maps[b] == tissue].mean())
            assert low - 25 < mean < high + 25, (phase, Tissue(tissue).name, mean)


def test_labels_are_the_look_up_of_the_tissues() -> None:
    torch.manual_seed(3)
    made = CTSynthesis().draw(anatomy(8))
    np.testing.assert_array_equal(made.label.numpy(), LABEL_OF_TISSUE[made.tissues.numpy()])
    assert set(made.label.unique().tolist()) == {0, 1, 2}


def test_every_tumor_has_a_look_and_its_hu() -> None:
    torch.manual_seed(4)
    masses = MassRanges(mass_share=1.0, cyst_share=0.0, diameter_mm=(24.0, 30.0))
    made = CTSynthesis(SynthesisSettings(masses=masses, acquisition=CLEAN)).draw(anatomy(16))
    shown = set()
    for b, look in enumerate(made.looks):
        assert look is not None and (made.label[b] == 2).any()
        solid = made.hu[b][made.tissues[b] == Tissue.TUMOR_SOLID]
        if len(solid) > 100:
            tolerance = 12 + look.coarse_hu + 0.5 * look.rim_hu + 0.5 * abs(look.solid_hu - look.necrosis_hu)
            assert abs(float(solid.median()) - look.solid_hu) < tolerance
        ids = set(made.tissues[b][made.label[b] == 2].tolist())
        assert (Tissue.TUMOR_NECROSIS in ids) <= (look.necrosis > 0)
        if look.fat:
            share = float((made.tissues[b] == Tissue.TUMOR_FAT).sum() / (made.label[b] == 2).sum())
            assert abs(share - look.fat) < 0.05
        shown |= ids
    assert {Tissue.TUMOR_SOLID, Tissue.TUMOR_NECROSIS} <= shown <= set(TUMOR_TISSUES)
    assert len({look.subtype for look in made.looks if look}) >= 3


def test_a_tumor_of_the_map_is_painted_anew() -> None:
    maps = anatomy(6)
    maps[..., 22:30, 22:30, 10:18] = Tissue.TUMOR_SCAR
    torch.manual_seed(5)
    made = CTSynthesis(SynthesisSettings(masses=NONE, acquisition=CLEAN)).draw(maps)
    tumor = maps == Tissue.TUMOR_SCAR
    assert torch.equal(made.label == 2, tumor), "it keeps its outline"
    assert (made.tissues[tumor] == Tissue.TUMOR_SOLID).float().mean() > 0.3


def test_the_seed_decides() -> None:
    maps, synthesis, drawn = anatomy(), CTSynthesis(), []
    before = maps.clone()
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        drawn.append(synthesis(maps))
    assert torch.equal(maps, before), "what is given stays"
    assert torch.equal(drawn[0][0], drawn[1][0]) and torch.equal(drawn[0][1], drawn[1][1])
    assert not torch.equal(drawn[0][0], drawn[2][0])


@pytest.mark.parametrize("maps", [torch.zeros(2, 8, 8, 8, dtype=torch.uint8), torch.zeros(2, 1, 8, 8, 8)])
def test_other_input_is_refused(maps: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="uint8 tissue maps"):
        CTSynthesis()(maps)


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="above 0"):
        SynthesisSettings(spacing_mm=(2.0, 2.0, 0.0))
    with pytest.raises(ValueError, match="mass_share"):
        SynthesisSettings(masses=MassRanges(mass_share=1.5))
    with pytest.raises(ValueError, match="smaller bound first"):
        SynthesisSettings(acquisition=AcquisitionRanges(noise_hu=(30.0, 3.0)))
    with pytest.raises(ValueError, match="log-uniformly"):
        SynthesisSettings(acquisition=AcquisitionRanges(noise_hu=(0.0, 3.0)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_makes_the_label_maps_of_a_processor() -> None:
    maps, synthesis = anatomy(8), CTSynthesis()
    made = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(7)
        made.append(synthesis.to(device).draw(maps.to(device)))
    assert made[0].phases == made[1].phases
    assert made[0].looks == made[1].looks
    assert (made[0].label != made[1].label.cpu()).float().mean() < 1e-5
    assert torch.isfinite(made[1].hu).all()


def test_cysts_have_a_label_of_their_own_on_request() -> None:
    cysts = MassRanges(mass_share=0.0, keep_share=1.0, cyst_share=1.0, cyst_diameter_mm=(14.0, 30.0))
    made = {}
    for apart in (False, True):
        torch.manual_seed(5)
        made[apart] = CTSynthesis(SynthesisSettings(masses=cysts, cysts_apart=apart)).draw(anatomy())
    assert torch.equal(made[True].hu, made[False].hu)
    cyst = made[True].tissues == Tissue.KIDNEY_CYST
    assert cyst.any() and torch.equal(made[True].label == 3, cyst)
    assert torch.equal(made[True].label.masked_fill(cyst, 1), made[False].label)
