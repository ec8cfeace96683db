"""Faster R-CNN, ResNet-50 C4, that finds kidneys in axial CT slices (Kamkova 2019, section 3.2)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.models.resnet import Bottleneck
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign

from nephro_monai.errors import WeightsError
from nephro_monai.structures import SliceGrid

__all__ = ["KidneyFasterRCNN", "RegionSettings", "load_pretrained"]

_LOGGER = logging.getLogger(__name__)

_ASPECT_RATIOS: Final = (0.6, 1.0, 1.6)
_EXPANSION: Final = Bottleneck.expansion
_NORMS: Final[dict[str, Callable[..., nn.Module]]] = {"batch": nn.BatchNorm2d, "frozen": FrozenBatchNorm2d}
_LEAST_LOADED: Final = 0.5


@dataclass(frozen=True)
class RegionSettings:
    """How many regions per slice the second stage looks at.

    Attributes:
        proposals: Regions that reach the box head at test (300 in the paper).
        training: Regions the box head learns from, at most half of them kidney (1:1).
        size: Side of the cropped regions (14 in C4).
        detections: Columns K of the output.
        score_threshold: Detections below it are left out.
    """

    proposals: int = 300
    training: int = 64
    size: int = 14
    detections: int = 8
    score_threshold: float = 0.05

    def __post_init__(self) -> None:
        """Refuses counts below 1.

        Raises:
            ValueError: If a count is below 1 or the threshold is not in 0..1.
        """
        if min(self.proposals, self.training, self.size, self.detections) < 1 or not 0 <= self.score_threshold <= 1:
            raise ValueError(f"Counts start at 1 and the threshold lies in 0..1, got {self}.")


def _stage(
    inplanes: int, planes: int, blocks: int, *, stride: int, dilation: int, norm: Callable[..., nn.Module]
) -> nn.Sequential:
    """One ResNet stage with torchvision's key names; dilation starts after the first block, as torchvision does."""
    shortcut = nn.Sequential(
        nn.Conv2d(inplanes, planes * _EXPANSION, 1, stride=stride, bias=False), norm(planes * _EXPANSION)
    )
    layers: list[nn.Module] = [Bottleneck(inplanes, planes, stride, shortcut, norm_layer=norm)]
    for _ in range(1, blocks):
        layers.append(Bottleneck(planes * _EXPANSION, planes, dilation=dilation, norm_layer=norm))
    return nn.Sequential(*layers)


class _Conv4Backbone(nn.Module):
    """ResNet-50 from the stem to conv4; gray input is repeated to three channels and normalized like ImageNet."""

    def __init__(self, width: int, output_stride: int, norm: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = norm(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        last = 2 if output_stride == 16 else 1
        self.layer1 = _stage(width, width, 3, stride=1, dilation=1, norm=norm)
        self.layer2 = _stage(4 * width, 2 * width, 4, stride=2, dilation=1, norm=norm)
        self.layer3 = _stage(8 * width, 4 * width, 6, stride=last, dilation=3 - last, norm=norm)
        self.out_channels = 16 * width

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 1, H, W) in 0..1 to (B, 16 * width, H / stride, W / stride) in float32."""
        # ImageNet's mean and standard deviation per channel, on the repeated gray image.
        red, green, blue = (images - 0.485) / 0.229, (images - 0.456) / 0.224, (images - 0.406) / 0.225
        features = torch.cat((red, green, blue), dim=1)
        features = self.maxpool(self.relu(self.bn1(self.conv1(features))))
        # Anchors, RoIAlign and losses want float32, also under autocast.
        return self.layer3(self.layer2(self.layer1(features))).float()


class _Conv5Head(nn.Module):
    """Conv5 of ResNet-50 on each cropped region, then the average over the region."""

    def __init__(self, width: int, norm: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.layer4 = _stage(16 * width, 8 * width, 3, stride=2, dilation=1, norm=norm)

    def forward(self, regions: torch.Tensor) -> torch.Tensor:
        """(N, 16 * width, S, S) to (N, 32 * width)."""
        return self.layer4(regions).mean(dim=(2, 3))


class _Float32RPNHead(RPNHead):
    """torchvision's head whose outputs stay float32 under autocast (boxes in bfloat16 would jump by pixels)."""

    def forward(self, x: list[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        logits: list[torch.Tensor] = []
        deltas: list[torch.Tensor] = []
        for feature in x:
            hidden = self.conv(feature)
            logits.append(self.cls_logits(hidden).float())
            deltas.append(self.bbox_pred(hidden).float())
        return logits, deltas


class _Float32Predictor(FastRCNNPredictor):
    """torchvision's predictor whose outputs stay float32 under autocast."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.cls_score(x).float(), self.bbox_pred(x).float()


class KidneyFasterRCNN(nn.Module):
    """Faster R-CNN, ResNet-50 C4: proposals from conv4, conv5 as the box head, one foreground class "kidney".

    At `width=64` backbone and box head are ResNet-50, tensor by tensor (see `load_pretrained`). Everything is sized in
    input pixels; nothing is rescaled inside.

    Example:
        >>> network = KidneyFasterRCNN(width=16).eval()
        >>> columns = network(torch.rand(2, 1, 256, 256))  # (2, 6, 8): x1, y1, x2, y2, score, label per column

    Args:
        width: Channels of the stem: 64 in the paper, 16 in the shipped network.
        anchor_sizes: Sides of the square anchors in pixels; each also in the aspect ratios 0.6 and 1.6.
        output_stride: 16 (C4) or 8 (conv4 dilated instead of strided, same keys), for coarse pixels.
        norm: "batch" to train from scratch, "frozen" to fine-tune pretrained weights.
        regions: Numbers of regions; None for the paper's.
        grid: The slices this network is made for; kept as attribute `grid` for who prepares them.

    Raises:
        ValueError: For an unknown `output_stride` or `norm`, or sizes below 1.
    """

    def __init__(
        self,
        width: int = 64,
        anchor_sizes: Sequence[int] = (32, 64, 128, 256),
        output_stride: int = 16,
        norm: str = "batch",
        regions: RegionSettings | None = None,
        grid: SliceGrid | None = None,
    ) -> None:
        super().__init__()
        if output_stride not in (8, 16):
            raise ValueError(f"output_stride is 8 or 16, got {output_stride}.")
        if norm not in _NORMS:
            raise ValueError(f"norm is one of {sorted(_NORMS)}, got {norm!r}.")
        if min(width, *anchor_sizes) < 1:
            raise ValueError(f"width and anchor sizes start at 1, got {width} and {tuple(anchor_sizes)}.")
        chosen = regions or RegionSettings()
        self.grid = grid or SliceGrid(20.0, 0.8, 512)
        self.max_detections = chosen.detections
        self.backbone = _Conv4Backbone(width, output_stride, _NORMS[norm])
        self.rpn = _proposal_network(16 * width, anchor_sizes, chosen)
        self.roi_heads = RoIHeads(
            MultiScaleRoIAlign(["conv4"], chosen.size, sampling_ratio=2),
            _Conv5Head(width, _NORMS[norm]),
            _Float32Predictor(32 * width, 2),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=chosen.training,
            positive_fraction=0.5,
            bbox_reg_weights=None,
            score_thresh=chosen.score_threshold,
            nms_thresh=0.5,
            detections_per_img=chosen.detections,
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Detects kidneys; call it in eval mode (training goes through `losses`).

        Args:
            images: (B, 1, H, W) in 0..1, rows to posterior, columns to the patient's left.

        Returns:
            (B, 6, K) float32: x1, y1, x2, y2 in pixels, score 0..1, label 1, best first, padded with zeros.
        """
        features, sizes = self._features(images)
        proposals, _ = self.rpn(ImageList(images, sizes), features)
        detections, _ = self.roi_heads(features, proposals, sizes)
        rows = torch.zeros((images.shape[0], 6, self.max_detections), device=images.device)
        for index, found in enumerate(detections):
            count = found["scores"].shape[0]
            rows[index, :4, :count] = found["boxes"].float().t()
            rows[index, 4, :count] = found["scores"].float()
            rows[index, 5, :count] = found["labels"].float()
        return rows

    @torch.jit.unused
    def losses(self, images: torch.Tensor, targets: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """Smooth L1 and cross-entropy losses of proposals and boxes (training mode).

        Args:
            images: (B, 1, H, W) in 0..1.
            targets: Per image "boxes" (N, 4) float32 x1, y1, x2, y2 in pixels and "labels" (N,) int64, N may be 0.

        Returns:
            loss_objectness, loss_rpn_box_reg, loss_classifier and loss_box_reg, scalars.

        Raises:
            RuntimeError: In eval mode.
        """
        if not self.training:
            raise RuntimeError("Losses need training mode: call train() first.")
        features, sizes = self._features(images)
        proposals, losses = self.rpn(ImageList(images, sizes), features, targets)
        _, box_losses = self.roi_heads(features, proposals, sizes, targets)
        return {**losses, **box_losses}

    def _features(self, images: torch.Tensor) -> tuple[dict[str, torch.Tensor], list[tuple[int, int]]]:
        height, width = images.shape[2], images.shape[3]
        sizes = [(height, width) for _ in range(images.shape[0])]
        return {"conv4": self.backbone(images)}, sizes


def _proposal_network(channels: int, anchor_sizes: Sequence[int], regions: RegionSettings) -> RegionProposalNetwork:
    """Proposals from one feature map; negatives to positives 1:1 where there are enough positives."""
    anchors = AnchorGenerator((tuple(anchor_sizes),), (_ASPECT_RATIOS,))
    return RegionProposalNetwork(
        anchors,
        _Float32RPNHead(channels, anchors.num_anchors_per_location()[0]),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=128,
        positive_fraction=0.5,
        pre_nms_top_n={"training": 8 * regions.training, "testing": 4 * regions.proposals},
        post_nms_top_n={"training": 4 * regions.training, "testing": regions.proposals},
        nms_thresh=0.7,
    )


def load_pretrained(network: KidneyFasterRCNN, path: str | Path) -> tuple[int, int]:
    """Loads ImageNet (resnet50) or COCO (fasterrcnn_resnet50_fpn) weights by key where shapes match.

    The COCO checkpoint's pyramid, proposal and box heads do not exist in the C4 arrangement and are skipped.

    Args:
        network: Takes the weights in place.
        path: Plain state_dict file of torchvision (also nested under "state_dict" or "model").

    Returns:
        Numbers of tensors loaded and skipped (also logged).

    Raises:
        WeightsError: If the file cannot be read or fits less than half of the ResNet's tensors.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(
            f"{path} cannot be read as pretrained weights: {error}. Give a torchvision state_dict file."
        ) from error
    for nested in ("state_dict", "model"):
        content = content.get(nested, content) if isinstance(content, dict) else {}
    own = network.state_dict()
    taken = {}
    for key, tensor in content.items():
        target = _own_key(key)
        if target in own and isinstance(tensor, torch.Tensor) and tensor.shape == own[target].shape:
            taken[target] = tensor
    resnet = {key for key in own if key.startswith(("backbone.", "roi_heads.box_head.")) and "num_batches" not in key}
    loaded, skipped = len(taken), len(content) - len(taken)
    _LOGGER.info("Pretrained weights %s: %d tensors loaded, %d skipped.", path, loaded, skipped)
    if len(resnet & taken.keys()) < _LEAST_LOADED * len(resnet):
        raise WeightsError(
            f"{path} fits only {len(resnet & taken.keys())} of the {len(resnet)} ResNet tensors ({skipped} skipped). "
            "Give torchvision's resnet50 or fasterrcnn_resnet50_fpn weights and a network of width 64."
        )
    network.load_state_dict(taken, strict=False)
    return loaded, skipped


def _own_key(key: str) -> str:
    """Key of a torchvision ResNet or detector as named here."""
    key = key.removeprefix("module.").removeprefix("backbone.body.")
    if key.startswith("layer4."):
        return f"roi_heads.box_head.{key}"
    return f"backbone.{key}" if key.startswith(("conv1.", "bn1.", "layer")) else key
