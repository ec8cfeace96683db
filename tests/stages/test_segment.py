from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from nephro_monai.geometry import window_to_unit
from nephro_monai.stages import KidneyTumorInferer, SegmentKidneyTumord, SegmentSettings, SimpleCysts, View
from nephro_monai.structures import Box

KIDNEY_HU, TUMOR_HU, FAT_HU = 120.0, 300.0, -100.0
SETTINGS = SegmentSettings(spacing_mm=(1.5, 1.5, 3.0), roi_size=(32, 32, 16), overlap=0.25)


def thresholds(patches: torch.Tensor) -> torch.Tensor:
    """Analytic network: kidney above 10 HU, tumor above 210 HU, with logits that grow away from the thresholds."""
    kidney, tumor = window_to_unit(torch.tensor([10.0, 210.0]), (-160.0, 340.0))
    above_kidney, above_tumor = 20 * (patches - kidney), 20 * (patches - tumor)
    return torch.cat([-above_kidney, torch.zeros_like(patches), above_tumor], dim=1)


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


def truth_of(image: MetaTensor) -> np.ndarray:
    hu = image.as_tensor()[0].numpy()
    return np.select([hu == TUMOR_HU, hu == KIDNEY_HU], [2, 1], 0)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2.0 * float((a & b).sum()) / float(a.sum() + b.sum())


def segment(image: MetaTensor, boxes: list[Box], **case: object) -> np.ndarray:
    step = SegmentKidneyTumord(thresholds, settings=SETTINGS)
    result = step({"image": image, "kidneys": boxes, **case})["segmentation"]
    assert isinstance(result, MetaTensor) and result.dtype == torch.uint8
    assert result.shape == image.shape and torch.equal(result.affine, image.affine)
    return result.as_tensor()[0].numpy()


def test_sees_what_is_around_a_box_and_outlines_what_is_inside():
    """No padding with air where the scan goes on; a larger organ beside the box is not kept instead of the kidney."""
    spacing, shape = (1.5, 1.5, 3.0), (80, 80, 40)
    image = scan_of([((40, 60, 60), 18, KIDNEY_HU), ((92, 60, 60), 27, KIDNEY_HU)], shape, spacing)
    seen: list[float] = []

    def network(patches: torch.Tensor) -> torch.Tensor:
        seen.append(float(patches.amin()))
        return thresholds(patches)

    box = Box(14, 28, 14, 40, 52, 26)
    step = SegmentKidneyTumord(network, settings=replace(SETTINGS, roi_size=(48, 48, 32)))
    found = step({"image": image, "kidneys": [box]})["segmentation"].as_tensor()[0].numpy()
    truth = truth_of(image).copy()
    truth[40:] = 0
    assert min(seen) > -1 + 1e-3
    assert dice(found > 0, truth > 0) > 0.95 and not found[42:].any()


@pytest.mark.parametrize("spacing", [(0.8, 0.8, 1.0), (1.5, 1.5, 3.0), (1.7, 1.7, 5.0)])
def test_spheres_come_back_at_any_spacing(spacing):
    shape = tuple(round(120 / s) for s in spacing)
    image = scan_of([((50, 60, 60), 30, KIDNEY_HU), ((68, 60, 60), 14, TUMOR_HU)], shape, spacing)
    found = segment(image, [Box(1, 1, 1, shape[0], shape[1], shape[2])])
    truth = truth_of(image)
    assert dice(found > 0, truth > 0) > 0.95
    # Between tumor and fat there is a shell of "kidney": the resampled HU pass through it.
    assert dice(found == 2, truth == 2) > 0.85
    centroid_shift = np.mean(np.argwhere(found > 0), axis=0) - np.mean(np.argwhere(truth > 0), axis=0)
    assert np.abs(centroid_shift * spacing).max() < 0.5  # mm: no half-voxel drift


def test_the_working_grid_itself_is_returned_exactly():
    image = scan_of([((60, 60, 60), 30, KIDNEY_HU)], (80, 80, 40), (1.5, 1.5, 3.0))
    np.testing.assert_array_equal(segment(image, [Box(0, 0, 0, 80, 80, 40)]), truth_of(image))


def test_only_the_largest_region_of_a_box_is_kept():
    image = scan_of([((40, 60, 60), 25, KIDNEY_HU), ((95, 60, 60), 12, KIDNEY_HU)], (80, 80, 40), (1.5, 1.5, 3.0))
    boxes = [Box(0, 0, 0, 80, 80, 40)]
    found = segment(image, boxes)
    assert found[20:35].any() and not found[54:].any()
    fallback = segment(image, boxes, localization={"fallback": True})
    assert fallback[54:].any(), "the whole body as one box holds two kidneys"


def test_a_kidney_comes_before_something_larger_that_is_tumor_all_through():
    """As a spleen in a kidney's box; alone it is kept: of some kidneys nothing is left but the tumor."""
    kidney, mass = ((40, 60, 60), 20, KIDNEY_HU), ((90, 60, 60), 25, TUMOR_HU)
    boxes = [Box(0, 0, 0, 80, 80, 40)]
    found = segment(scan_of([kidney, mass], (80, 80, 40), (1.5, 1.5, 3.0)), boxes)
    assert (found[20:35] == 1).any() and not found[46:].any()
    alone = segment(scan_of([mass], (80, 80, 40), (1.5, 1.5, 3.0)), boxes)
    assert (alone[46:] == 2).any()
    speck = ((40, 60, 60), 12, KIDNEY_HU)  # 7 ml, too little to come first
    assert (segment(scan_of([speck, mass], (80, 80, 40), (1.5, 1.5, 3.0)), boxes)[46:] == 2).any()
    both = segment(scan_of([kidney, mass], (80, 80, 40), (1.5, 1.5, 3.0)), boxes, localization={"fallback": True})
    assert (both[20:35] == 1).any() and (both[46:] == 2).any(), "of a whole body two regions are kept"


def test_a_cyst_by_its_hu_is_kidney_in_the_label_map():
    """The network below calls everything above 210 HU kidney, and the dark ball in it tumor."""
    spheres = [((60, 60, 60), 30, KIDNEY_HU + 100), ((60, 60, 60), 14, 5.0)]
    image = scan_of(spheres, (80, 80, 40), (1.5, 1.5, 3.0))

    def network(patches: torch.Tensor) -> torch.Tensor:
        fluid, kidney = window_to_unit(torch.tensor([-40.0, 110.0]), (-160.0, 340.0))
        above_fat, above_kidney = 20 * (patches - fluid), 20 * (patches - kidney)
        return torch.cat([-above_fat, above_kidney, torch.zeros_like(patches)], dim=1)

    boxes = [Box(0, 0, 0, 80, 80, 40)]
    found = {}
    for name, cysts in (("asked", SimpleCysts()), ("not asked", None)):
        step = SegmentKidneyTumord(network, settings=replace(SETTINGS, simple_cysts=cysts))
        found[name] = step({"image": image, "kidneys": boxes})["segmentation"].as_tensor()[0].numpy()
    assert found["not asked"][40, 40, 20] == 2 and found["asked"][40, 40, 20] == 1
    # Where kidney fades into fat the network sees fluid as well: a shell, not homogeneous, so it stays.
    assert (found["asked"] == 2).sum() < (found["not asked"] == 2).sum()


def test_overlapping_boxes_join_and_tumor_wins():
    image = scan_of([((60, 60, 60), 30, KIDNEY_HU), ((60, 60, 60), 12, TUMOR_HU)], (80, 80, 40), (1.5, 1.5, 3.0))
    left, right = Box(0, 0, 0, 44, 80, 40), Box(36, 0, 0, 80, 80, 40)
    found, truth = segment(image, [left, right]), truth_of(image)
    assert dice(found > 0, truth > 0) > 0.98 and dice(found == 2, truth == 2) > 0.95
    np.testing.assert_array_equal(found, segment(image, [right, left]))


def test_no_box_and_nothing_found_give_background():
    image = scan_of([], (40, 40, 20), (1.5, 1.5, 3.0))
    assert not segment(image, []).any()
    assert not segment(image, [Box(0, 0, 0, 40, 40, 20)]).any()


def test_specks_are_no_kidney():
    image = scan_of([((30, 30, 30), 6, KIDNEY_HU)], (40, 40, 20), (1.5, 1.5, 3.0))  # 0.9 ml
    assert not segment(image, [Box(0, 0, 0, 40, 40, 20)]).any()


def test_boxes_smaller_than_a_window_and_thin_scans():
    image = scan_of([((30, 30, 15), 14, KIDNEY_HU)], (40, 40, 6), (1.5, 1.5, 5.0))
    found = segment(image, [Box(5, 5, 0, 35, 35, 6)])
    assert dice(found > 0, truth_of(image) > 0) > 0.9


def test_native_logits_are_never_held_whole(monkeypatch):
    from nephro_monai.stages import class_probabilities as module

    widest = 0
    resample = module.resample_to_shape

    def spy(volume: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        nonlocal widest
        result = resample(volume, shape)
        widest = max(widest, result.numel())
        return result

    monkeypatch.setattr(module, "resample_to_shape", spy)
    monkeypatch.setattr(module, "_CHUNK_VALUES", 200_000)
    image = scan_of([((60, 60, 60), 30, KIDNEY_HU)], (150, 150, 100), (0.8, 0.8, 1.2))
    whole = segment(image, [Box(0, 0, 0, 150, 150, 100)])
    assert widest <= 80 * 80 * 40 + 200_000
    monkeypatch.setattr(module, "_CHUNK_VALUES", 16_000_000)
    np.testing.assert_array_equal(whole, segment(image, [Box(0, 0, 0, 150, 150, 100)]))


def test_inferer_keeps_two_kidneys_of_a_whole_scan():
    spheres = [((40, 60, 60), 25, KIDNEY_HU), ((95, 60, 60), 12, KIDNEY_HU)]
    image = scan_of(spheres, (80, 80, 40), (1.5, 1.5, 3.0))
    batch = MetaTensor(image.as_tensor()[None], affine=image.affine)
    found = KidneyTumorInferer(SETTINGS)(batch, thresholds)
    assert found.shape == batch.shape
    np.testing.assert_array_equal(found[0, 0].numpy(), truth_of(image))
    with pytest.raises(TypeError, match="MetaTensor"):
        KidneyTumorInferer(SETTINGS)(image.as_tensor()[None], thresholds)


def test_one_scan_only():
    with pytest.raises(ValueError, match="one scan"):
        SegmentKidneyTumord(thresholds, keys=["image", "other"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_prediction_on_cuda_equals_cpu():
    from nephro_monai.networks.vnet import VNet

    torch.manual_seed(0)
    network = VNet(width=2)
    image = scan_of([((60, 60, 60), 30, KIDNEY_HU)], (80, 80, 40), (1.5, 1.5, 3.0))
    settings = replace(SETTINGS, smallest_kidney_ml=0.0, bfloat16=False)
    case = {"image": image, "kidneys": [Box(0, 0, 0, 80, 80, 40)]}
    on_cpu = SegmentKidneyTumord(network, settings=settings)(case)["segmentation"].as_tensor()
    on_cuda = SegmentKidneyTumord(network, settings=settings, device="cuda")(case)["segmentation"]
    assert on_cuda.device.type == "cpu"
    assert (on_cuda.as_tensor() == on_cpu).float().mean() > 0.999


def test_specks_of_tumor_become_kidney():
    spheres = [((60, 60, 60), 35, KIDNEY_HU), ((45, 60, 60), 12, TUMOR_HU), ((80, 60, 60), 4.5, TUMOR_HU)]
    image = scan_of(spheres, (80, 80, 40), (1.5, 1.5, 3.0))
    whole = [Box(0, 0, 0, 80, 80, 40)]
    everything = SegmentKidneyTumord(thresholds, settings=replace(SETTINGS, smallest_tumor_ml=0.0))
    kept = everything({"image": image, "kidneys": whole})["segmentation"].as_tensor()[0].numpy()
    found = segment(image, whole)
    assert kept[53, 40, 20] == 2 and found[53, 40, 20] == 1  # the speck of 0.4 ml
    assert found[30, 40, 20] == 2  # the tumor of 7 ml
    np.testing.assert_array_equal(found > 0, kept > 0)


@pytest.mark.parametrize(("weights", "expected"), [((1.0, 1.0, 1.0), 1), ((1.0, 2.0, 1.0), 2)])
def test_cysts_are_counted_to_the_kidney(weights, expected):
    """Kidney and cyst lie behind the tumor alone and before it together; the kidney's loss weight is the cysts' too."""

    def network(patches: torch.Tensor) -> torch.Tensor:
        logits = torch.tensor([-5.0, 0.0, 0.5, 0.0]).reshape(1, 4, 1, 1, 1)
        return logits.repeat(len(patches), 1, *patches.shape[2:])

    image = scan_of([], (48, 48, 24), (1.5, 1.5, 3.0))
    step = SegmentKidneyTumord(network, settings=replace(SETTINGS, loss_weights=weights))
    found = step({"image": image, "kidneys": [Box(8, 8, 4, 40, 40, 20)]})["segmentation"].as_tensor()[0]
    assert (found[8:40, 8:40, 4:20] == expected).all() and found.unique().tolist() == [0, expected]


@pytest.mark.parametrize(
    ("first", "other", "views", "expected"),  # views of the first one and of the other
    [
        ((0.01, 0.39, 0.60), (0.01, 0.79, 0.20), (1, 1), [0, 2]),  # which of both the first one says
        ((0.01, 0.60, 0.39), (0.01, 0.05, 0.94), (1, 1), [0, 1]),
        ((0.01, 0.39, 0.60), (0.97, 0.02, 0.01), (1, 1), [0]),  # (0.01 + 0.97) / 2 against 0.51 * 0.6 / 0.99 of tumor
        ((0.90, 0.05, 0.05), (0.01, 0.01, 0.98), (3, 1), [0]),  # (3 * 0.90 + 0.01) / 4
        ((0.70, 0.20, 0.10), (0.01, 0.01, 0.98), (3, 1), [0]),  # 0.5275 against 0.315
        ((0.01, 0.39, 0.60), (0.60, 0.20, 0.20), (1, 3), [0]),  # 0.4525 against 0.332
        ((0.01, 0.39, 0.60), (0.97, 0.02, 0.01), (3, 1), [0, 2]),  # (3 * 0.01 + 0.97) / 4 against 0.75 * 0.6 / 0.99
        ((0.70, 0.20, 0.10), (0.01, 0.01, 0.98), (1, 1), [0, 1]),  # 0.355 against 0.645 * 2 / 3 of kidney
    ],
)
def test_of_several_networks_all_find_and_the_first_one_tells_tumor_from_kidney(first, other, views, expected):
    def always(classes: tuple[float, float, float]):
        shares = torch.tensor(classes).log().reshape(1, 3, 1, 1, 1)
        return lambda patches: shares.repeat(len(patches), 1, *patches.shape[2:])

    image = scan_of([], (48, 48, 24), (1.5, 1.5, 3.0))
    case = {"image": image, "kidneys": [Box(8, 8, 4, 40, 40, 20)]}
    coarse = replace(SETTINGS, spacing_mm=(3.0, 3.0, 4.0))
    own, coarse = (replace(s, views=(View(),) * n) for s, n in zip((SETTINGS, coarse), views, strict=True))
    step = SegmentKidneyTumord(always(first), settings=own, others=[(always(other), coarse)])
    found = step(case)["segmentation"].as_tensor()[0]
    assert (found[8:40, 8:40, 4:20] == expected[-1]).all() and found.unique().tolist() == expected


def test_a_coarser_network_beside_keeps_outlines_where_they_are():
    image = scan_of([((60, 60, 60), 24, KIDNEY_HU), ((70, 60, 60), 10, TUMOR_HU)], (80, 80, 40), (1.5, 1.5, 3.0))
    coarse = replace(SETTINGS, spacing_mm=(3.0, 3.0, 4.0))
    step = SegmentKidneyTumord(thresholds, settings=SETTINGS, others=[(thresholds, coarse)])
    found = step({"image": image, "kidneys": [Box(14, 14, 6, 66, 66, 34)]})["segmentation"].as_tensor()[0].numpy()
    assert dice(found > 0, truth_of(image) > 0) > 0.95 and dice(found == 2, truth_of(image) == 2) > 0.85


def test_the_window_of_a_coarser_view_is_filled_from_the_scan():
    image = scan_of([((60, 60, 60), 16, KIDNEY_HU), ((100, 60, 60), 6, TUMOR_HU)], (80, 80, 40), (1.5, 1.5, 3.0))
    brightest = []

    def network(patches: torch.Tensor) -> torch.Tensor:
        brightest.append(float(patches.max()))
        return thresholds(patches)

    for view in (View(), View(2.0)):
        step = SegmentKidneyTumord(network, settings=replace(SETTINGS, views=(view,), batch_size=64))
        step({"image": image, "kidneys": [Box(28, 28, 14, 52, 52, 26)]})
    tumor = float(window_to_unit(torch.tensor(250.0), (-160.0, 340.0)))
    assert brightest[0] < tumor < brightest[1], "what lies 40 mm beside the kidney"
