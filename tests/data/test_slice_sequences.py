"""Features of slices, grouped by patient and padded in batches."""

from __future__ import annotations

import pytest
import torch
from monai.data import DataLoader, Dataset, pad_list_data_collate

from nephro_monai.data import patient_sequences, slice_features
from nephro_monai.networks.fold_vote import FoldVote
from nephro_monai.networks.inception import InceptionClassifier
from nephro_monai.stages import ThreeWindowColorizer, colorize_slices


def _slices(counts: list[int]) -> list[dict]:
    generator = torch.Generator().manual_seed(0)
    return [
        {
            "image": torch.randint(-200, 300, (1, 40, 40), generator=generator, dtype=torch.int16),
            "case": f"case_{k}", "label": k % 2, "fold": k,
        }
        for k, count in enumerate(counts)
        for _ in range(count)
    ]  # fmt: skip


def test_features_are_those_of_the_colored_slices() -> None:
    torch.manual_seed(0)
    network = FoldVote(lambda: InceptionClassifier(1 / 16, features=5), folds=1)
    slices = _slices([2, 1])
    found = slice_features(slices, network, ThreeWindowColorizer(), size=80, batch_size=2, progress=False)
    colored = colorize_slices(torch.stack([s["image"].float() for s in slices]), ThreeWindowColorizer(), size=80)
    assert found.shape == (3, 1, 5)
    assert not network.training
    expected = network.features(colored).detach()
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0.05)  # bfloat16 where it is fast
    assert slice_features([], network, ThreeWindowColorizer(), size=80, progress=False).numel() == 0


def test_one_sequence_per_patient_in_order() -> None:
    slices, features = _slices([3, 1, 2]), torch.arange(6 * 2 * 4.0).reshape(6, 2, 4)
    patients = patient_sequences(slices, features)
    assert [(p["case"], p["label"], p["fold"]) for p in patients] == [
        ("case_0", 0, 0),
        ("case_1", 1, 1),
        ("case_2", 0, 2),
    ]
    assert [tuple(p["features"].shape) for p in patients] == [(2, 5, 3), (2, 5, 1), (2, 5, 2)]
    assert torch.equal(patients[2]["features"][1, :4, 1], features[5, 1])
    assert all((p["features"][:, 4] == 1).all() for p in patients)


def test_batches_are_padded_at_the_end_with_zeros() -> None:
    patients = patient_sequences(_slices([3, 1, 2]), torch.ones(6, 2, 4))
    loader = DataLoader(
        Dataset(patients), batch_size=3, collate_fn=lambda batch: pad_list_data_collate(batch, method="end")
    )
    batch = next(iter(loader))
    assert batch["features"].shape == (3, 2, 5, 3)
    assert batch["features"][:, 0, -1].tolist() == [[1, 1, 1], [1, 0, 0], [1, 1, 0]]
    assert batch["label"].tolist() == [0, 1, 0]
    assert batch["case"] == ["case_0", "case_1", "case_2"]


def test_slices_and_features_must_match() -> None:
    with pytest.raises(ValueError, match="got 5 for 6 slices"):
        patient_sequences(_slices([3, 1, 2]), torch.ones(5, 2, 4))


def test_scattered_patients_are_refused() -> None:
    slices = _slices([2, 1])
    with pytest.raises(ValueError, match="must stand together"):
        patient_sequences([slices[0], slices[2], slices[1]], torch.ones(3, 1, 4))
