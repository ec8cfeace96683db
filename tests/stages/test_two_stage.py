from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import cycle

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from nephro_monai.errors import BundleError
from nephro_monai.networks.enet import ENet
from nephro_monai.stages import KidneySlicesInferer, SegmentTwoStaged, TwoStageInferer, TwoStageSettings
from nephro_monai.structures import SliceGrid

KIDNEY_HU, TUMOR_HU, FAT_HU = 120.0, 300.0, -100.0
SETTINGS = TwoStageSettings(SliceGrid(3.0, 2.0, 128, 3.0), crop_size=48, smallest_kidney_ml=5.0)


def first(slices: torch.Tensor) -> torch.Tensor:
    """Analytic network: kidney or tumor above 10 HU."""
    return torch.cat([torch.zeros_like(slices), slices - 10.0], dim=1)


def second(crops: torch.Tensor) -> torch.Tensor:
    """Analytic network: kidney above 10 HU, tumor above 210 HU, and not too sure, as networks are."""
    return torch.cat([10.0 - crops, torch.zeros_like(crops), crops - 210.0], dim=1) * 0.05


def scan_of(spheres: list[tuple[tuple[float, float, float], float, float]], shape, spacing) -> MetaTensor:
    """Fat with spheres (center in mm, radius in mm, HU); a later sphere covers an earlier one."""
    axes = [(np.arange(n) + 0.5) * s for n, s in zip(shape, spacing, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"))
    hu = np.full(shape, FAT_HU, np.float32)
    for center, radius, value in spheres:
        hu[((grid - np.reshape(center, (3, 1, 1, 1))) ** 2).sum(0) < radius**2] = value
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (-100.0, -80.0, 5.0)
    return MetaTensor(torch.from_numpy(hu)[None], affine=torch.from_numpy(affine))


def two_kidneys(spacing=(2.0, 2.0, 3.0)) -> MetaTensor:
    """The left one (low x) with a tumor, the right one smaller; 130 mm apart."""
    shape = tuple(round(n / s) for n, s in zip((240, 180, 120), spacing, strict=True))
    spheres = [((55, 80, 60), 30, KIDNEY_HU), ((70, 80, 60), 15, TUMOR_HU), ((185, 90, 66), 25, KIDNEY_HU)]
    return scan_of(spheres, shape, spacing)


def truth_of(image: MetaTensor) -> np.ndarray:
    hu = image.as_tensor()[0].numpy()
    return np.select([hu == TUMOR_HU, hu == KIDNEY_HU], [2, 1], 0)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2.0 * float((a & b).sum()) / float(a.sum() + b.sum())


def run(image: MetaTensor, settings: TwoStageSettings = SETTINGS) -> dict:
    case = SegmentTwoStaged(first, second, settings=settings)({"image": image})
    found = case["segmentation"]
    assert isinstance(found, MetaTensor) and found.dtype == torch.uint8
    assert found.shape == image.shape and torch.equal(found.affine, image.affine)
    return case | {"labels": found.as_tensor()[0].numpy()}


def test_stages_of_different_grids_are_refused():
    assert TwoStageSettings(SETTINGS.grid, first_grid=SliceGrid(3.0, 2.0, 128, 3.0)).grid == SETTINGS.grid
    with pytest.raises(BundleError, match=r"first stage was trained on .*=1\.0.* the second on .*=2\.0.*overrides"):
        TwoStageSettings(SETTINGS.grid, first_grid=SliceGrid(3.0, 1.0, 128, 3.0))


@pytest.mark.parametrize("spacing", [(0.9, 0.9, 1.5), (2.0, 2.0, 3.0), (1.6, 1.6, 5.0)])
def test_two_kidneys_at_any_spacing(spacing):
    image = two_kidneys(spacing)
    case = run(image)
    found, truth = case["labels"], truth_of(image)
    assert dice(found > 0, truth > 0) > 0.94
    # Between tumor and fat there is a shell of "kidney": the resampled HU pass through it.
    assert dice(found == 2, truth == 2) > 0.85
    shift = (np.argwhere(found > 0).mean(0) - np.argwhere(truth > 0).mean(0)) * spacing
    assert np.abs(shift).max() < 0.6  # mm: no half-voxel drift
    left, right = case["kidneys"]
    assert left.xmax < right.xmin, "the larger one first"
    covered = np.zeros(found.shape, bool)
    covered[right.slices] = covered[left.slices] = True
    assert covered[truth > 0].all()
    assert case["localization"] == {
        "found": True, "fallback": False, "note": "Two kidneys were found.",
        "detections": case["localization"]["detections"],
    }  # fmt: skip


def test_the_working_grid_itself_is_returned_exactly():
    image = two_kidneys()
    np.testing.assert_array_equal(run(image)["labels"], truth_of(image))


def test_one_crop_holds_both_kidneys_or_each_has_its_own():
    slices_left, slices_right = 20, 16  # of 60 mm and 50 mm at 3 mm
    apart = run(two_kidneys())
    together = run(two_kidneys(), replace(SETTINGS, crop_size=112))
    assert abs(apart["localization"]["detections"] - slices_right - slices_left) <= 2
    assert abs(together["localization"]["detections"] - slices_left - 1) <= 2
    np.testing.assert_array_equal(apart["labels"], together["labels"])


def test_what_stage_1_found_beyond_the_crops_stays_as_kidney():
    image = scan_of([((75, 90, 60), 55, TUMOR_HU)], (120, 90, 40), (2.0, 2.0, 3.0))
    found = run(image)["labels"]
    np.testing.assert_array_equal(found > 0, truth_of(image) > 0)
    middle = found[:, :, 20]
    assert (middle[37 - 18 : 37 + 18, 45 - 18 : 45 + 18] == 2).all(), "inside the crop of 48 pixels"
    assert middle[11, 45] == middle[63, 45] == 1, "outside"


def test_overlapping_crops_are_averaged():
    """Stage 2 answers tumor in one crop and kidney, more surely, in the other."""
    calls = cycle((3.0, -4.0))

    def undecided(crops: torch.Tensor) -> torch.Tensor:
        tumor = torch.tensor([next(calls) for _ in crops]).reshape(-1, 1, 1, 1).expand(crops.shape)
        return torch.cat([torch.full_like(crops, -9.0), torch.zeros_like(crops), tumor], dim=1)

    image = scan_of([((90, 90, 4.5), 24, KIDNEY_HU), ((150, 90, 4.5), 24, KIDNEY_HU)], (120, 90, 3), (2.0, 2.0, 3.0))
    case = SegmentTwoStaged(first, undecided, settings=SETTINGS)({"image": image})
    found = case["segmentation"].as_tensor()[0, :, 45, 1]
    assert case["localization"]["detections"] == 6, "two crops in each of three slices"
    assert (found[22:50] == 1).all() and (found[71:98] == 2).all()
    assert (found[55:65] == 1).all(), "where both looked, the surer one wins"


def test_only_the_largest_region_of_each_kidney_is_kept():
    spheres = [((55, 80, 60), 30, KIDNEY_HU), ((185, 90, 60), 25, KIDNEY_HU), ((185, 150, 105), 12, KIDNEY_HU)]
    image = scan_of(spheres, (120, 90, 40), (2.0, 2.0, 3.0))
    assert not run(image)["labels"][:, 70:].any()
    assert run(image, replace(SETTINGS, regions_per_kidney=2))["labels"][:, 70:].any()


def test_nothing_found():
    for spheres in ([], [((120, 90, 60), 8, KIDNEY_HU)]):  # 2 ml
        case = run(scan_of(spheres, (120, 90, 40), (2.0, 2.0, 3.0)))
        assert not case["labels"].any() and case["kidneys"] == []
        assert case["localization"] == {
            "found": False, "fallback": False, "note": "No kidney was found.", "detections": 0,
        }  # fmt: skip


def test_stage_2_may_find_nothing():
    image = two_kidneys()

    def nothing(crops: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.ones_like(crops), torch.zeros_like(crops), torch.zeros_like(crops)], dim=1)

    case = SegmentTwoStaged(first, nothing, settings=SETTINGS)({"image": image})
    assert not case["segmentation"].any() and len(case["kidneys"]) == 2


def test_batches_and_extreme_values_change_nothing():
    image = two_kidneys()
    expected = run(image)["labels"]
    np.testing.assert_array_equal(run(image, replace(SETTINGS, batch_size=1))["labels"], expected)
    image[0, 0, 0], image[0, -1, 0] = 18326.0, -6986.0
    np.testing.assert_array_equal(run(image)["labels"], expected)


def test_inferers_give_what_the_step_gives():
    image = two_kidneys()
    batch = MetaTensor(image.as_tensor()[None], affine=image.affine)
    found = TwoStageInferer(first, SETTINGS)(batch, second)
    np.testing.assert_array_equal(found[0, 0].numpy(), run(image)["labels"])
    kidneys = KidneySlicesInferer(SETTINGS)(batch, first)
    assert kidneys.shape == batch.shape and kidneys.dtype == torch.uint8
    np.testing.assert_array_equal(kidneys[0, 0].numpy() > 0, truth_of(image) > 0)
    assert not KidneySlicesInferer(SETTINGS)(torch.full_like(batch, FAT_HU), first).any()
    for inferer in (TwoStageInferer(first, SETTINGS), KidneySlicesInferer(SETTINGS)):
        with pytest.raises(TypeError, match="MetaTensor"):
            inferer(image.as_tensor()[None], second)


def test_networks_run_and_the_step_is_picklable():
    torch.manual_seed(0)
    stages = ENet(out_channels=2, width=0.25, slice_shape=(128, 128)), ENet(width=0.25, slice_shape=(48, 48))
    step = SegmentTwoStaged(*stages, settings=replace(SETTINGS, smallest_kidney_ml=0.0))
    image = two_kidneys()
    found = step({"image": image})["segmentation"]
    assert set(found.unique().tolist()) <= {0, 1, 2}
    again = pickle.loads(pickle.dumps(step))({"image": image})["segmentation"]
    assert torch.equal(again.as_tensor(), found.as_tensor())


def test_a_network_of_another_grid_is_named():
    stages = ENet(out_channels=2, width=0.25, slice_shape=(96, 96)), ENet(width=0.25, slice_shape=(48, 48))
    with pytest.raises(ValueError, match="96 x 96 pixels, the input has 128 x 128"):
        SegmentTwoStaged(*stages, settings=SETTINGS)({"image": two_kidneys()})


def test_one_scan_only():
    with pytest.raises(ValueError, match="one scan"):
        SegmentTwoStaged(first, second, keys=["image", "other"])
