"""A classifier of hand-made features in the place of a network."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from nephro_monai.constants import HU_RANGE
from nephro_monai.geometry.slice_features import slice_features

__all__ = ["FeatureClassifier", "region_features"]


class FeatureClassifier(nn.Module):
    """Measures tumor regions and hands the features to a classifier, for `ClassifySlicesd`.

    The slices come from `CropTumorSlicesd` with region "roi": everything but the tumor is blanked.

    Args:
        classifier: (B, features) to logits (B, classes), such as `networks.kernel_svm.KernelSVM`.
        pixel_mm: Pixel size of the slices, as in training.
    """

    def __init__(self, classifier: nn.Module, pixel_mm: float = 1.0) -> None:
        super().__init__()
        self.classifier = classifier
        self.pixel_mm = pixel_mm

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        """(B, 1, H, W) in HU, -1024 outside the tumor, to logits (B, classes)."""
        features = region_features(slices, self.pixel_mm).to(slices.device)
        with torch.autocast(slices.device.type, enabled=False):
            return self.classifier(features)


def region_features(slices: torch.Tensor, pixel_mm: float) -> torch.Tensor:
    """Features of slices (B, 1, H, W) in HU whose blanked part, -1024 HU, is not tumor: (B, features) float32.

    Raises:
        ValueError: If a slice is blank.
    """
    rows = [slice_features(one, one > HU_RANGE[0] + 0.5, pixel_mm) for one in slices[:, 0].float().cpu().numpy()]
    return torch.from_numpy(np.stack(rows)).float()
