from __future__ import annotations

import pytest
import torch

from nephro_monai.transforms import NumberKidneysd


def test_kidneys_are_numbered_from_the_patients_right() -> None:
    label = torch.zeros(1, 60, 40, 5, dtype=torch.uint8)
    label[0, 5:15, 10:25, 1:4] = 1
    label[0, 10:18, 20:30, 2] = 2
    label[0, 44:54, 10:25, :] = 1
    made = NumberKidneysd("label", (3.0, 3.0, 6.0))({"label": label, "case": "a"})
    sides = made["sides"]
    assert sides.shape == label.shape and sides.dtype == torch.uint8 and made["case"] == "a"
    assert torch.equal(sides > 0, label > 0)
    # x runs to the patient's right.
    assert set(sides[0, :30][label[0, :30] > 0].tolist()) == {2}
    assert set(sides[0, 30:][label[0, 30:] > 0].tolist()) == {1}


def test_the_pole_of_the_second_kidney_is_no_piece_of_the_first() -> None:
    label = torch.zeros(1, 100, 60, 5, dtype=torch.uint8)
    label[0, 70:90, 20:40, :] = 1
    label[0, 12:17, 25:30, 4] = 1  # 1.35 ml: all of the left kidney that the slab holds
    label[0, 66:68, 30:32, 2] = 1  # a piece beside the right one
    sides = NumberKidneysd("label", (3.0, 3.0, 6.0))({"label": label})["sides"]
    assert set(sides[0, 12:17, 25:30, 4].unique().tolist()) == {2}
    assert set(sides[0, 60:][label[0, 60:] > 0].tolist()) == {1}


def test_no_kidney_has_no_number() -> None:
    made = NumberKidneysd("label", (2.0, 2.0, 6.0))({"label": torch.zeros(1, 8, 8, 3)})
    assert not made["sides"].any()


def test_wrong_arguments_are_refused() -> None:
    for arguments in ((["a", "b"], (1.0, 1.0, 1.0)), ("a", (1.0, 1.0))):
        with pytest.raises(ValueError, match="one key and three spacings"):
            NumberKidneysd(*arguments)
