"""A body with two kidneys and two tumors on a KiTS19-like grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from nephro_monai.structures import Scan


@pytest.fixture
def measured_case() -> dict[str, Any]:
    """Keys image, segmentation, scan and case; tumors of 18 and 8 mm radius on the right kidney, native axes I-P-L."""
    shape, spacing = (160, 120, 40), np.array([2.0, 2.0, 3.0])
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (-160, -120, 50)
    world = [axis * s + o for axis, s, o in zip(np.ogrid[:160, :120, :40], spacing, affine[:3, 3], strict=True)]

    def ball(center: tuple[float, ...], radii: tuple[float, ...]) -> np.ndarray:
        return sum(((w - c) / r) ** 2 for w, c, r in zip(world, center, radii, strict=True)) <= 1

    labels = np.zeros(shape, np.uint8)
    labels[ball((60, 0, 110), (28, 28, 50))] = 1
    labels[ball((-60, 0, 110), (28, 28, 50))] = 1
    labels[ball((80, 0, 100), (18, 18, 18))] = 2
    labels[ball((60, 25, 140), (8, 8, 8))] = 2
    image = np.full(shape, -1000, np.float32)
    image[ball((0, 0, 110), (140, 100, 500))] = 40
    image[labels == 1] = 150
    image[labels == 2] = 80
    native = np.zeros((4, 4))
    native[:, 3] = (158, 118, 167, 1)
    native[0, 2], native[1, 1], native[2, 0] = -2, -2, -3
    return {
        "image": MetaTensor(torch.from_numpy(image)[None], affine=torch.from_numpy(affine)),
        "segmentation": MetaTensor(torch.from_numpy(labels)[None], affine=torch.from_numpy(affine)),
        "scan": Scan("a.nii.gz", "nifti", (40, 120, 160), tuple(map(tuple, native)), "IPL", (), 2, 0),
        "case": "case_1",
    }
