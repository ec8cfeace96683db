from __future__ import annotations

import numpy as np
import pytest
import torch

from nephro_monai.geometry import window_to_unit
from nephro_monai.stages import SegmentSettings, View
from nephro_monai.stages.class_probabilities import class_probabilities

CPU = torch.device("cpu")
VOXEL_MM = (1.5, 1.5, 3.0)


def sphere_of_tumor() -> torch.Tensor:
    """HU of (64, 64, 32) voxels: fat, a kidney of 30 mm radius around (40, 48, 48) mm, in it a tumor of 12 mm."""
    grid = np.stack(
        np.meshgrid(*((np.arange(n) + 0.5) * s for n, s in zip((64, 64, 32), VOXEL_MM, strict=True)), indexing="ij")
    )
    away = np.linalg.norm(grid - np.reshape((40.0, 48.0, 48.0), (3, 1, 1, 1)), axis=0)
    return torch.from_numpy(np.select([away < 12, away < 30], [300.0, 120.0], -100.0).astype(np.float32))


def thresholds(patches: torch.Tensor) -> torch.Tensor:
    kidney, tumor = window_to_unit(torch.tensor([10.0, 210.0]), (-160.0, 340.0))
    above_kidney, above_tumor = 20 * (patches - kidney), 20 * (patches - tumor)
    return torch.cat([-above_kidney, torch.zeros_like(patches), above_tumor], dim=1)


def settings(*views: View) -> SegmentSettings:
    return SegmentSettings(spacing_mm=VOXEL_MM, roi_size=(32, 32, 16), overlap=0.25, batch_size=512, views=views)


def blind_on_the_left(patches: torch.Tensor) -> torch.Tensor:
    """Sees tumors in the right half of its window only."""
    logits = thresholds(patches)
    logits[:, 2, : patches.shape[2] // 2] -= 9
    return logits


def test_a_mirrored_view_sees_what_the_plain_one_misses():
    hu = sphere_of_tumor()
    truth = hu == 300
    plain, mirrored, both = (
        class_probabilities(hu, VOXEL_MM, blind_on_the_left, settings(*views), CPU)
        for views in ((View(),), (View(mirror=True),), (View(), View(mirror=True)))
    )
    assert not torch.equal(plain.argmax(0) == 2, truth) and not torch.equal(mirrored.argmax(0) == 2, truth)
    torch.testing.assert_close(both, (plain + mirrored) / 2)
    assert torch.equal(both.argmax(0) == 2, truth)


@pytest.mark.parametrize("scale", [0.75, 1.3])
def test_a_view_of_another_scale_is_sampled_so_and_lies_where_it_was(scale: float):
    hu = sphere_of_tumor()
    seen: list[int] = []

    def network(patches: torch.Tensor) -> torch.Tensor:
        seen.append(patches.shape[0])
        return thresholds(patches)

    plain, scaled, both = (
        class_probabilities(hu, VOXEL_MM, network, settings(*views), CPU)
        for views in ((View(),), (View(scale),), (View(), View(scale)))
    )
    assert seen[1] > seen[0] if scale < 1 else seen[1] < seen[0], "windows"
    torch.testing.assert_close(both, (plain + scaled) / 2)
    for label in (1, 2):
        truth, found = plain.argmax(0) == label, scaled.argmax(0) == label
        assert 2 * (truth & found).sum() / (truth.sum() + found.sum()) > 0.8
        moved = np.argwhere(found.numpy()).mean(0) - np.argwhere(truth.numpy()).mean(0)
        assert np.abs(moved * VOXEL_MM).max() < 0.5, "mm"
    torch.testing.assert_close(scaled.sum(0), torch.ones(hu.shape))
