from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose

from nephro_monai.data import malignancy_of_subtype
from nephro_monai.phantom import (
    LABEL_OF_TISSUE,
    MassRanges,
    RandSynthesizeCTd,
    SynthesisSettings,
    Tissue,
    plain_surroundings,
    surroundings_of_labels,
)


def tissue_map() -> torch.Tensor:
    maps = torch.full((1, 32, 30, 24), int(Tissue.VISCERAL_FAT), dtype=torch.uint8)
    maps[:, 8:22, 8:22, 6:18] = Tissue.KIDNEY_CORTEX
    return maps


def label_map() -> torch.Tensor:
    labels = torch.zeros(1, 32, 30, 24, dtype=torch.uint8)
    labels[:, 8:22, 8:22, 6:18] = 1
    labels[:, 18:26, 18:26, 8:14] = 2
    return labels


def test_a_tissue_map_becomes_a_ct() -> None:
    given = tissue_map()
    transform = Compose([RandSynthesizeCTd("tissues")]).set_random_state(0)
    made = transform({"tissues": given, "case": "a"})
    assert made["image"].shape == given.shape and made["image"].dtype == torch.float32
    assert made["label"].dtype == torch.uint8 and set(made["label"].unique().tolist()) <= {0, 1, 2}
    assert made["case"] == "a" and torch.equal(made["tissues"], tissue_map())


def test_the_random_state_decides_and_torchs_is_kept() -> None:
    transform, made = RandSynthesizeCTd("tissues"), []
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    for seed in (1, 1, 2):
        made.append(transform.set_random_state(seed)({"tissues": tissue_map()})["image"])
    assert torch.equal(torch.rand(4), expected)
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])


def test_a_label_map_keeps_its_outlines() -> None:
    masses = MassRanges(mass_share=0.0, keep_share=1.0, cyst_share=0.0)
    transform = RandSynthesizeCTd("seg", "labels", "ct", "truth", SynthesisSettings(masses=masses))
    made = transform.set_random_state(0)({"seg": label_map()})
    assert torch.equal(made["truth"], label_map())
    assert float(made["ct"].std()) > 20


def test_spacing_and_affine_come_from_the_map() -> None:
    affine = np.diag([3.0, 3.0, 5.0, 1.0])
    given = MetaTensor(tissue_map(), affine=affine)
    masses = MassRanges(mass_share=1.0, cyst_share=0.0, diameter_mm=(30.0, 30.0), buried=(0.0, 0.0))
    made = RandSynthesizeCTd("tissues", settings=SynthesisSettings(masses=masses)).set_random_state(0)(
        {"tissues": given}
    )
    for key in ("image", "label"):
        np.testing.assert_allclose(made[key].affine.numpy(), affine)
    volume = float((made["label"] == 2).sum()) * 45
    assert volume == pytest.approx(4 / 3 * np.pi * 15**3, rel=0.5)


def test_prob_leaves_the_dictionary_alone() -> None:
    assert set(RandSynthesizeCTd("tissues", prob=0.0)({"tissues": tissue_map()})) == {"tissues"}
    assert RandSynthesizeCTd("tissues", allow_missing_keys=True)({"other": 1}) == {"other": 1}


def test_surroundings_are_fat_around_the_kidney_and_organs_elsewhere() -> None:
    labels = torch.zeros(6, 48, 48, 32, dtype=torch.uint8)
    labels[:, 18:30, 18:30, 10:22] = 1
    torch.manual_seed(0)
    tissues = surroundings_of_labels(labels, (2.0, 2.0, 3.0))
    kidney = (tissues == Tissue.KIDNEY_CORTEX) | (tissues == Tissue.KIDNEY_MEDULLA)
    assert torch.equal(kidney, labels == 1)
    assert (tissues == Tissue.KIDNEY_CORTEX).any() and (tissues == Tissue.KIDNEY_MEDULLA).any()
    at_rim = tissues[:, 17, 22:26, 14:18]
    assert (at_rim == Tissue.VISCERAL_FAT).float().mean() > 0.8
    assert len(tissues[labels == 0].unique()) >= 6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandSynthesizeCTd(["a", "b"]), "one key"),
        (lambda: RandSynthesizeCTd("a", kind="organs"), "kind"),
        (lambda: RandSynthesizeCTd("a")({"a": torch.zeros(4, 4, 4, dtype=torch.uint8)}), r"\(1, X, Y, Z\)"),
        (lambda: RandSynthesizeCTd("a")({"a": torch.full((1, 4, 4, 4), 0.5)}), "whole numbers"),
        (lambda: RandSynthesizeCTd("a", "labels")({"a": torch.full((1, 8, 8, 8), 7)}), "holds 7"),
    ],
)
def test_other_input_is_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_plain_surroundings_keep_labels_and_little_else() -> None:
    every = torch.arange(len(Tissue), dtype=torch.uint8).reshape(1, -1)
    plain = plain_surroundings(every)
    table = torch.from_numpy(LABEL_OF_TISSUE)
    assert torch.equal(table[plain.int()], table[every.int()])
    around = {Tissue(int(t)) for t in plain[table[plain.int()] == 0]}
    assert around == {
        Tissue.AIR, Tissue.SUBCUTANEOUS_FAT, Tissue.VISCERAL_FAT, Tissue.MUSCLE, Tissue.COLLECTING_SYSTEM,
        Tissue.SINUS_FAT,
    }  # fmt: skip


def test_malignancy_is_that_of_the_drawn_subtype() -> None:
    for benign_share, malignant in ((1.0, False), (0.0, True)):
        masses = MassRanges(mass_share=1.0, benign_share=benign_share, diameter_mm=(20.0, 30.0))
        transform = RandSynthesizeCTd("tissues", settings=SynthesisSettings(masses=masses)).set_random_state(0)
        made = transform({"tissues": tissue_map(), "malignant": not malignant})
        assert (made["label"] == 2).any() and made["malignant"] is malignant
        assert malignancy_of_subtype(made["subtype"]) is malignant
    masses = MassRanges(mass_share=0.0)
    made = RandSynthesizeCTd("tissues", settings=SynthesisSettings(masses=masses))({"tissues": tissue_map()})
    assert made["malignant"] is None and made["subtype"] == ""


def test_maps_are_drawn_anew_until_they_have_a_tumor() -> None:
    masses = MassRanges(mass_share=0.3, cyst_share=0.0, diameter_mm=(20.0, 30.0))
    transform = RandSynthesizeCTd("tissues", settings=SynthesisSettings(masses=masses, need_tumor=True))
    for seed in range(5):
        assert (transform.set_random_state(seed)({"tissues": tissue_map()})["label"] == 2).any()
    with pytest.raises(ValueError, match="maps with a kidney"):
        transform({"tissues": torch.zeros(1, 8, 8, 8, dtype=torch.uint8)})


@pytest.mark.parametrize("shape", [(40, 40, 1), (3, 40, 20), (40, 40, 16)])
def test_maps_shorter_than_what_lies_around_a_kidney(shape: tuple[int, int, int]) -> None:
    labels = torch.ones(1, *shape, dtype=torch.uint8)
    for seed in range(6):
        torch.manual_seed(seed)
        assert surroundings_of_labels(labels, (0.5, 0.5, 1.0)).shape == labels.shape


def test_ids_that_are_no_tissue_are_refused() -> None:
    with pytest.raises(ValueError, match="this one holds 240"):
        RandSynthesizeCTd("tissues")({"tissues": torch.full((1, 8, 8, 8), 240, dtype=torch.uint8)})


def test_maps_of_16_bits_are_maps_too() -> None:
    given = tissue_map()
    for kind in (torch.uint16, torch.int32, torch.float32):
        made = RandSynthesizeCTd("tissues").set_random_state(0)({"tissues": given.to(kind)})
        assert made["image"].shape == given.shape
