"""Pictures of slices as volumes, and their scores."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from nephro_monai.cli.main import app
from nephro_monai.errors import ScanError
from nephro_monai.evaluation.slice_pictures import hu_of_picture, score_slice_stacks, stack_slice_pictures

SIZE = 120
ROWS, COLUMNS = np.mgrid[:SIZE, :SIZE]


def disk(row: float, column: float, radius: float) -> np.ndarray:
    return (ROWS - row) ** 2 + (COLUMNS - column) ** 2 < radius**2


def body() -> np.ndarray:
    """Skin around fat (0), a kidney of 120 HU, and a thin table below."""
    picture = np.zeros((SIZE, SIZE), np.uint8)
    picture[disk(55, 60, 45) & ~disk(55, 60, 44)] = 20
    picture[disk(60, 40, 12)] = 120
    picture[108:110, 10:110] = 90
    return picture


@pytest.fixture
def folders(tmp_path):
    pictures, masks = tmp_path / "pictures", tmp_path / "masks"
    pictures.mkdir()
    masks.mkdir()
    mask = np.zeros((SIZE, SIZE, 3), np.uint8)
    mask[disk(60, 40, 12)] = (0, 0, 255)
    Image.fromarray(body()).save(pictures / "a.png")
    Image.fromarray(mask).save(masks / "a.png")
    mask[disk(60, 40, 5)] = (255, 0, 0)
    Image.fromarray(body()).save(pictures / "b.png")
    Image.fromarray(mask).save(masks / "b.png")
    return pictures, masks, tmp_path / "stacks"


def test_fat_inside_the_body_and_air_outside():
    hu = hu_of_picture(body())
    assert (hu[disk(55, 60, 43) & ~disk(60, 40, 12)] == -100).all()
    outside = ~disk(55, 60, 46) & (body() == 0)
    assert (hu[outside] == -1000).mean() > 0.999
    assert (hu[disk(60, 40, 12)] == 120).all()


def test_stacks_lie_as_the_pictures_do(folders):
    pictures, masks, stacks = folders
    assert stack_slice_pictures(pictures, masks, stacks, copies=3, spacing_mm=(2.0, 2.0, 3.0)) == ["a", "b"]
    image, label = (nib.load(stacks / "b" / f"{name}.nii.gz") for name in ("imaging", "segmentation"))
    assert image.shape == label.shape == (SIZE, SIZE, 3)
    assert nib.aff2axcodes(image.affine) == ("L", "P", "S") and image.header.get_zooms() == (2.0, 2.0, 3.0)
    voxels = np.asarray(image.dataobj)
    assert (voxels[40, 60] == 120).all() and (voxels == voxels[..., :1]).all()
    truth = np.asarray(label.dataobj)
    assert (truth == truth[..., :1]).all() and truth[40, 60, 1] == 2 and truth[40, 68, 1] == 1


def test_scores_of_the_middle_slices(folders, tmp_path):
    pictures, masks, stacks = folders
    stack_slice_pictures(pictures, masks, stacks, copies=3)
    for name in ("a", "b"):
        label = nib.load(stacks / name / "segmentation.nii.gz")
        found = np.asarray(label.dataobj).copy()
        found[..., 0] = 1  # outside the middle nothing counts
        if name == "b":
            found[found == 2] = 1
            found[38:41, 58:61, 1] = 2
        (tmp_path / "results" / name).mkdir(parents=True)
        nib.save(nib.Nifti1Image(found, label.affine), tmp_path / "results" / name / "segmentation.nii.gz")
    scores = score_slice_stacks(tmp_path / "results", stacks)
    tumor = int(disk(60, 40, 5).sum())
    assert scores.slices == 2 and scores.kidney == scores.kidney_by_slice == 1
    assert scores.tumor == scores.tumor_by_slice == pytest.approx(2 * 9 / (tumor + 9))
    done = CliRunner().invoke(app, ["evaluate-slices", str(tmp_path / "results"), "--data", str(stacks)])
    assert done.exit_code == 0 and "kidney with tumor: 1.000" in done.output


def test_what_is_wrong_is_said(folders, tmp_path):
    pictures, masks, stacks = folders
    with pytest.raises(ValueError, match="odd"):
        stack_slice_pictures(pictures, masks, stacks, copies=4)
    with pytest.raises(ScanError, match="holds no"):
        stack_slice_pictures(tmp_path, masks, stacks)
    with pytest.raises(ScanError, match="stack-slices"):
        score_slice_stacks(tmp_path, tmp_path)
    Image.fromarray(np.full((SIZE, SIZE, 3), 7, np.uint8)).save(masks / "a.png")
    with pytest.raises(ScanError, match="colors"):
        stack_slice_pictures(pictures, masks, stacks)
    Image.fromarray(np.zeros((5, 5, 3), np.uint8)).save(masks / "a.png")
    with pytest.raises(ScanError, match="pixels"):
        stack_slice_pictures(pictures, masks, stacks)
    (masks / "a.png").unlink()
    with pytest.raises(ScanError, match="no mask"):
        stack_slice_pictures(pictures, masks, stacks)


def test_stacks_need_predictions(folders):
    pictures, masks, stacks = folders
    arguments = ["stack-slices", str(pictures), str(masks), "--out", str(stacks), "--copies", "3"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    with pytest.raises(ScanError, match="nephro predict"):
        score_slice_stacks(stacks.parent, stacks)
