"""The localizer on synthetic volumes, with a detector that boxes bright blobs exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy import ndimage
from torch import nn

from nephro_monai.geometry.kidney_boxes import MergeSettings
from nephro_monai.networks.faster_rcnn import KidneyFasterRCNN, RegionSettings
from nephro_monai.stages.localize import LocalizeKidneysd
from nephro_monai.structures import SliceGrid

GRID = SliceGrid(6.0, 2.0, 160)


class BlobDetector(nn.Module):
    """Boxes the connected bright parts of each slice with score 0.9."""

    def __init__(self, grid: SliceGrid | None = GRID) -> None:
        super().__init__()
        self.grid = grid
        self.seen: list[tuple[int, ...]] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(images.shape))
        assert float(images.min()) >= 0
        assert float(images.max()) <= 1
        columns = torch.zeros(len(images), 6, 8)
        for b, image in enumerate(images[:, 0].numpy()):
            labels, _ = ndimage.label(image > 0.75)
            for n, (rows, cols) in enumerate(ndimage.find_objects(labels)[:8]):
                box = [cols.start, rows.start, cols.stop, rows.stop]
                columns[b, :, n] = torch.tensor([*box, 0.9, 1.0], dtype=torch.float32)
        return columns


def volume_with(blocks, spacing, extent_mm=(280, 220, 150)) -> MetaTensor:
    """Body of 20 HU with bright blocks given in mm (R-A-S edges) inside."""
    shape = tuple(round(mm / s) for mm, s in zip(extent_mm, spacing, strict=True))
    image = torch.full(shape, -1000.0)
    image[tuple(slice(round(20 / s), n - round(20 / s)) for s, n in zip(spacing[:2], shape[:2], strict=True))] = 20.0
    for low, high in blocks:
        image[tuple(slice(round(a / s), round(b / s)) for a, b, s in zip(low, high, spacing, strict=True))] = 280.0
    affine = torch.diag(torch.tensor([*spacing, 1.0], dtype=torch.float64))
    return MetaTensor(image[None], affine=affine)


BLOCKS = [((180, 60, 30), (220, 110, 120)), ((60, 70, 42), (100, 115, 120))]


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.8, 5.0), (2.0, 1.3, 3.0), (0.7, 1.7, 7.5)])
def test_boxes_lie_where_the_kidneys_are_on_every_axis(spacing):
    case = LocalizeKidneysd(BlobDetector(), merge=MergeSettings(margin_mm=0.0))({"image": volume_with(BLOCKS, spacing)})
    assert case["localization"]["found"]
    assert not case["localization"]["fallback"]
    assert len(case["kidneys"]) == 2
    for box, (low, high) in zip(case["kidneys"], BLOCKS, strict=True):
        for axis, tolerance_mm in enumerate((2.5, 2.5, 7.5)):
            extent = box.slices[axis]
            assert abs(extent.start * spacing[axis] - low[axis]) <= tolerance_mm
            assert abs(extent.stop * spacing[axis] - high[axis]) <= tolerance_mm


def test_margin_is_in_mm():
    image = volume_with(BLOCKS, (1.0, 1.0, 2.0))
    plain, wide = (
        LocalizeKidneysd(BlobDetector(), merge=MergeSettings(margin_mm=mm))({"image": image})["kidneys"][0]
        for mm in (0.0, 10.0)
    )
    assert (plain.xmin - wide.xmin, plain.ymin - wide.ymin, plain.zmin - wide.zmin) == (10, 10, 5)


def test_one_kidney():
    case = LocalizeKidneysd(BlobDetector())({"image": volume_with(BLOCKS[:1], (1.0, 1.0, 3.0))})
    assert len(case["kidneys"]) == 1
    assert case["localization"]["note"] == "One kidney was found."
    assert case["localization"]["detections"] == 15


def test_body_without_kidney_falls_back_to_the_body_without_the_table():
    image = volume_with([], (2.0, 2.0, 5.0))
    image[0, 4:-4, 2:4] = 100.0  # a table, two voxels thick, behind the body
    case = LocalizeKidneysd(BlobDetector())({"image": image})
    assert case["localization"] == {
        "found": False,
        "fallback": True,
        "note": "No kidney was found; the whole body is searched instead.",
        "detections": 0,
    }
    assert case["warnings"] == (
        "No kidney was found; the whole body is searched instead. What is outlined there is doubtful.",
    )
    (box,) = case["kidneys"]
    assert box.shape[2] == 30
    assert np.allclose([box.xmin * 2, box.xmax * 2, box.ymin * 2, box.ymax * 2], [20, 260, 20, 200], atol=4)


def test_air_falls_back_to_the_whole_scan():
    image = MetaTensor(torch.full((1, 40, 50, 12), -1000.0), affine=torch.eye(4, dtype=torch.float64))
    (box,) = LocalizeKidneysd(BlobDetector())({"image": image})["kidneys"]
    assert box.shape == (40, 50, 12)


@pytest.mark.parametrize("extent_mm", [(500, 220, 150), (280, 220, 24), (100, 60, 30)])
def test_wide_short_and_small_scans(extent_mm):
    image = volume_with([], (2.0, 2.0, 3.0), extent_mm)
    case = LocalizeKidneysd(BlobDetector())({"image": image})
    assert all(a <= n for a, n in zip(case["kidneys"][0].shape, image.shape[1:], strict=True))


def test_slices_go_in_batches_of_the_networks_size():
    network = BlobDetector()
    LocalizeKidneysd(network, batch_size=8)({"image": volume_with(BLOCKS, (2.0, 2.0, 3.0))})
    assert network.seen == [(8, 1, 160, 160)] * 3 + [(1, 1, 160, 160)]


def test_image_and_case_stay_as_they_were():
    image = volume_with(BLOCKS, (2.0, 2.0, 5.0))
    data = {"image": image, "case": "a"}
    before = image.clone()
    case = LocalizeKidneysd(BlobDetector())(data)
    assert torch.equal(image.as_tensor(), before.as_tensor())
    assert set(data) == {"image", "case"}
    assert set(case) == {"image", "case", "kidneys", "localization"}


def test_runs_the_real_network():
    torch.manual_seed(0)
    network = KidneyFasterRCNN(4, (24, 48), 8, regions=RegionSettings(8, 4, 4), grid=SliceGrid(20.0, 4.0, 64))
    case = LocalizeKidneysd(network)({"image": volume_with(BLOCKS, (4.0, 4.0, 10.0))})
    assert case["kidneys"]


def test_who_does_not_know_the_slices_is_refused():
    with pytest.raises(ValueError, match="SliceGrid"):
        LocalizeKidneysd(BlobDetector(grid=None))
    with pytest.raises(ValueError, match="batch_size"):
        LocalizeKidneysd(BlobDetector(), batch_size=0)
    with pytest.raises(ValueError, match="one key"):
        LocalizeKidneysd(BlobDetector(), keys=["image", "other"])
