"""Surface Dice and Hausdorff distance against MONAI's, hand-counted ones, and the rules for empty masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice

from nephro_monai.metrics import surface
from nephro_monai.metrics.surface import hausdorff95_mm, surface_dice

SPACING = (3.0, 0.8, 0.7)


def _blobs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two irregular bodies that overlap, one of them at the volume's edge."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in (14, 30, 34)), indexing="ij"), axis=-1)
    masks = []
    for shift in (0.0, 1.5):
        mask = np.zeros(grid.shape[:3], bool)
        for center, radii in zip(rng.uniform((3, 8, 8), (12, 24, 30), (4, 3)), rng.uniform(2, 8, (4, 3)), strict=True):
            mask |= (((grid - center - shift) / radii) ** 2).sum(axis=-1) < 1
        masks.append(mask)
    return masks[0], masks[1]


def _channels(mask: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(mask)[None, None]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("limit", [0, 2_000_000])
def test_agrees_with_monai(seed, limit, monkeypatch):
    monkeypatch.setattr(surface, "_MOST_TREE_POINTS", limit)  # 0: distance maps; else trees
    a, b = _blobs(seed)
    options = {"include_background": True, "spacing": [SPACING]}
    expected = compute_surface_dice(_channels(a), _channels(b), [1.1], use_subvoxels=True, **options)
    assert surface_dice(a, b, SPACING, 1.1) == pytest.approx(expected.item(), abs=1e-5)
    expected = compute_hausdorff_distance(_channels(a), _channels(b), percentile=95, **options)
    assert hausdorff95_mm(a, b, SPACING) == pytest.approx(expected.item(), rel=1e-5)


def test_a_cube_moved_along_an_axis():
    a, b = np.zeros((12, 20, 20), bool), np.zeros((12, 20, 20), bool)
    a[2:10, 4:12, 4:12], b[2:10, 4:12, 6:14] = True, True
    assert hausdorff95_mm(a, b, (1.0, 1.0, 0.7)) == pytest.approx(1.4)
    assert surface_dice(a, b, (1.0, 1.0, 0.7), 1.5) == 1.0
    assert 0.5 < surface_dice(a, b, (1.0, 1.0, 0.7), 1.0) < 1.0
    assert surface_dice(a, a, SPACING, 0.0) == 1.0


def test_single_voxels():
    a, b = np.zeros((5, 5, 5), bool), np.zeros((5, 5, 5), bool)
    a[0, 0, 0] = b[4, 0, 0] = True
    assert hausdorff95_mm(a, b, SPACING) == 12.0
    assert surface_dice(a, b, SPACING, 1.0) == 0.0


def test_empty_masks():
    empty, full = np.zeros((4, 4, 4), bool), np.ones((4, 4, 4), bool)
    assert surface_dice(empty, empty, SPACING, 1.0) == 1.0
    assert surface_dice(empty, full, SPACING, 1.0) == surface_dice(full, empty, SPACING, 1.0) == 0.0
    assert hausdorff95_mm(empty, empty, SPACING) is hausdorff95_mm(empty, full, SPACING) is None
    assert hausdorff95_mm(full, full, SPACING) == 0.0


def test_wrong_input():
    with pytest.raises(ValueError, match=r"\(2, 2, 2\) and \(2, 2, 3\)"):
        surface_dice(np.ones((2, 2, 2), bool), np.ones((2, 2, 3), bool), SPACING, 1.0)
    with pytest.raises(ValueError, match="3-D"):
        hausdorff95_mm(np.ones((2, 2), bool), np.ones((2, 2), bool), SPACING)
    with pytest.raises(ValueError, match=r"got -1"):
        surface_dice(np.ones((2, 2, 2), bool), np.ones((2, 2, 2), bool), SPACING, -1)
