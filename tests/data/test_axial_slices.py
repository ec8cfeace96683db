"""Training slices: boxes against known masks, negatives, determinism, augmentation that keeps boxes true."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from nephro_monai.data import EpochSampler
from nephro_monai.data.axial_slices import AxialSliceDataset, boxes_of_sides, collate_slices, training_slices
from nephro_monai.data.slice_augmentation import SliceAugmentation
from nephro_monai.errors import TrainingDataError
from nephro_monai.structures import SliceGrid

GRID = SliceGrid(6.0, 2.0, 96)
SPACING = (2.0, 2.0, 3.0)
SHAPE = (90, 80, 40)
KIDNEYS = {"right": ((55, 30, 10), (68, 48, 26)), "left": ((18, 26, 14), (30, 46, 30))}
TUMOR = ((50, 46, 12), (58, 54, 18))  # on the right kidney


def case_arrays(kidneys=("right", "left")) -> tuple[np.ndarray, np.ndarray]:
    image = np.full(SHAPE, -1000.0, dtype=np.float32)
    image[5:85, 8:72] = 30.0
    label = np.zeros(SHAPE, dtype=np.uint8)
    for side in kidneys:
        low, high = KIDNEYS[side]
        index = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        label[index], image[index] = 1, 160.0
    if "right" in kidneys:
        index = tuple(slice(a, b) for a, b in zip(*TUMOR, strict=True))
        label[index], image[index] = 2, 80.0
    return image, label


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> list[dict[str, str]]:
    folder = tmp_path_factory.mktemp("cases")
    affine = np.diag([*SPACING, 1.0])
    records = []
    for number, kidneys in enumerate([("right", "left"), ("left",)]):
        image, label = case_arrays(kidneys)
        record = {"case": f"case_{number:05d}"}
        for key, array in (("image", image), ("label", label)):
            record[key] = str(folder / f"{number}_{key}.nii.gz")
            nib.save(nib.Nifti1Image(array, affine), record[key])
        records.append(record)
    return records


def test_boxes_match_the_label_map():
    """Each kidney's box covers kidney and tumor of that slice, in slice coordinates, to within a pixel."""
    image, label = case_arrays()
    hu, sides, kind = training_slices(torch.from_numpy(image), torch.from_numpy(label), SPACING, GRID)
    assert hu.shape == sides.shape == (20, 96, 96)
    checked = 0
    for k in range(20):
        native = label[:, :, 2 * k : 2 * k + 2].any(axis=2)
        boxes = boxes_of_sides(sides[k]).numpy()
        for box in boxes:
            right = box[0] < 48  # the patient's right is at lower columns
            half = np.zeros_like(native)
            half[45:] = right
            half[:45] = not right
            xs, ys = np.nonzero(native & half)
            left_offset = (SHAPE[0] - 96) // 2
            top_offset = (SHAPE[1] - 96) // 2
            expected = [
                SHAPE[0] - 1 - xs.max() - left_offset,
                SHAPE[1] - 1 - ys.max() - top_offset,
                SHAPE[0] - xs.min() - left_offset,
                SHAPE[1] - ys.min() - top_offset,
            ]
            assert np.abs(box - expected).max() <= 1
            checked += 1
        assert (kind[k] == 1) == (len(boxes) > 0)
    assert checked == 16


def test_pole_ends_are_neither_kidney_nor_background():
    image, label = case_arrays()
    label[55:68, 30:48, 26] = 1  # a third of a coarse slice
    _, _, kind = training_slices(torch.from_numpy(image), torch.from_numpy(label), SPACING, SliceGrid(9.0, 2.0, 96))
    assert set(kind.tolist()) == {0, 1} or set(kind.tolist()) == {-1, 0, 1}
    only_speck = np.zeros_like(label)
    only_speck[55:58, 30:33, 10] = 1
    _, _, kind = training_slices(torch.from_numpy(image), torch.from_numpy(only_speck), SPACING, GRID)
    assert sorted(set(kind.tolist())) == [-1, 0]


def test_share_of_slices_without_kidney(cases):
    def kidney_free(share: float) -> tuple[int, int]:
        dataset = AxialSliceDataset(cases, GRID, negative_share=share)
        return sum(len(dataset[i][1]["boxes"]) == 0 for i in range(len(dataset))), len(dataset)

    assert kidney_free(0.0) == (0, 18)  # the paper's choice
    assert kidney_free(0.4) == (12, 30)
    with pytest.raises(ValueError, match="negative_share"):
        AxialSliceDataset(cases, GRID, negative_share=1.0)


def test_items_are_windowed_slices_with_targets(cases):
    dataset = AxialSliceDataset(cases, GRID, negative_share=0.3)
    image, target = dataset[3]
    assert image.shape == (1, 96, 96)
    assert image.dtype == torch.float32
    assert float(image.max()) == pytest.approx((160 + 60) / 360, abs=0.01)
    assert float(image.min()) == 0.0
    assert target["boxes"].dtype == torch.float32
    assert target["labels"].tolist() == [1] * len(target["boxes"])
    batch, targets = collate_slices([dataset[i] for i in range(4)])
    assert batch.shape == (4, 1, 96, 96)
    assert len(targets) == 4


def test_augmentation_depends_on_the_draw_alone(cases):
    def make(seed: int) -> AxialSliceDataset:
        return AxialSliceDataset(cases, GRID, augmentation=SliceAugmentation(), seed=seed)

    one, same, other = make(1), make(1), make(2)
    size = len(one)
    draws = list(EpochSampler(size, 5, seed=3))
    assert all(torch.equal(one[d][0], same[d][0]) for d in draws)
    assert not torch.equal(one[draws[0]][0], other[draws[0]][0])
    assert not torch.equal(one[3][0], one[3 + size][0])


@pytest.mark.parametrize("seed", range(6))
def test_boxes_follow_the_picture(seed):
    """After flip, scale, rotation and shift the box still encloses the bright kidney, tightly."""
    sides = torch.zeros(96, 96, dtype=torch.uint8)
    sides[40:62, 20:36] = 1
    hu = torch.where(sides > 0, 400.0, -150.0)
    augmentation = SliceAugmentation(gain=0.0, offset_hu=0.0, noise_hu=0.0, blur_pixels=0.2, shift_pixels=10.0)
    moved, moved_sides = augmentation(hu, sides, seed)
    ((x1, y1, x2, y2),) = boxes_of_sides(moved_sides).tolist()
    rows, columns = torch.nonzero(moved > 125.0, as_tuple=True)
    assert abs(int(rows.min()) - y1) <= 1
    assert abs(int(rows.max()) + 1 - y2) <= 1
    assert abs(int(columns.min()) - x1) <= 1
    assert abs(int(columns.max()) + 1 - x2) <= 1


def test_flip_moves_the_kidney_to_the_other_side():
    still = {"scale": (1.0, 1.0), "rotation_degrees": 0.0, "shift_pixels": 0.0}
    sides = torch.zeros(64, 64, dtype=torch.uint8)
    sides[20:30, 5:15] = 1
    _, flipped = SliceAugmentation(flip=1.0, **still)(torch.zeros(64, 64), sides, 0)
    _, kept = SliceAugmentation(flip=0.0, **still)(torch.zeros(64, 64), sides, 0)
    assert torch.equal(flipped, sides.flip(1))
    assert torch.equal(kept, sides)


def test_specks_get_no_box():
    sides = torch.zeros(32, 32, dtype=torch.uint8)
    sides[3:5, 3:9] = 1
    sides[10:20, 12:15] = 2
    assert boxes_of_sides(sides).tolist() == [[12, 10, 15, 20]]
    assert boxes_of_sides(torch.zeros(8, 8, dtype=torch.uint8)).shape == (0, 4)


def test_no_kidney_anywhere_is_refused(tmp_path):
    paths = {}
    image, label = case_arrays(())
    for key, array in (("image", image), ("label", label)):
        paths[key] = str(Path(tmp_path) / f"{key}.nii.gz")
        nib.save(nib.Nifti1Image(array, np.diag([*SPACING, 1.0])), paths[key])
    with pytest.raises(TrainingDataError, match="None of the 1 cases"):
        AxialSliceDataset([paths], GRID)
    nib.save(nib.Nifti1Image(label[:-2], np.diag([*SPACING, 1.0])), paths["label"])
    with pytest.raises(TrainingDataError, match="same grid"):
        AxialSliceDataset([paths], GRID)
