from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nephro_monai.data import SlabSettings, load_tissue_slabs, save_tissue_slabs, tissue_slabs_of_folder
from nephro_monai.errors import OutputError, TrainingDataError

SETTINGS = SlabSettings((1.0, 1.0, 3.0), size=6, slices=3)


@pytest.fixture
def slabs() -> list[dict]:
    """Three slabs of two patients."""
    ids = torch.randint(0, 40, (3, 1, 6, 6, 3), dtype=torch.uint8)
    return [
        {
            "tissues": slab,
            "patient": f"patient_{k // 2}",
            "case": f"case_{k}",
            "meta": {"filename_or_obj": f"case_{k}"},
        }
        for k, slab in enumerate(ids)
    ]


def test_slabs_come_back_as_they_were(slabs: list[dict], tmp_path: Path) -> None:
    save_tissue_slabs(tmp_path / "new" / "tissue_slabs.npz", slabs, SETTINGS)
    found = tissue_slabs_of_folder(tmp_path / "new", SETTINGS)
    for before, after in zip(slabs, found, strict=True):
        assert torch.equal(before["tissues"], after["tissues"]) and after["tissues"].dtype == torch.uint8
        assert {k: v for k, v in before.items() if k != "tissues"} == {k: v for k, v in after.items() if k != "tissues"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spacing_mm": (0.8, 0.8, 3.0)}, r"at \(1.0, 1.0, 3.0\) mm .* at \(0.8, 0.8, 3.0\) mm"),
        ({"size": 8}, r"\(6, 6, 3\) voxels .* \(8, 8, 3\)"),
        ({"slices": 5}, r"\(6, 6, 3\) voxels .* \(6, 6, 5\)"),
        ({"center": "body"}, "around each kidney, .* around each body"),
    ],
)
def test_other_slabs_are_refused(slabs: list[dict], tmp_path: Path, changes: dict, message: str) -> None:
    save_tissue_slabs(tmp_path / "tissue_slabs.npz", slabs, SETTINGS)
    with pytest.raises(TrainingDataError, match=message):
        tissue_slabs_of_folder(tmp_path, replace(SETTINGS, **changes))
    assert len(load_tissue_slabs(tmp_path / "tissue_slabs.npz")) == 3


def test_what_is_no_file_of_slabs_is_said(slabs: list[dict], tmp_path: Path) -> None:
    (tmp_path / "b.npz").write_bytes(b"nothing")
    np.savez(tmp_path / "c.npz", other=np.zeros(3))
    for name in ("b.npz", "c.npz", "absent.npz"):
        with pytest.raises(TrainingDataError, match="save_tissue_slabs"):
            load_tissue_slabs(tmp_path / name)
    with pytest.raises(ValueError, match="no slabs"):
        save_tissue_slabs(tmp_path / "d.npz", [], SETTINGS)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another output folder"):
        save_tissue_slabs(tmp_path / "file" / "e.npz", slabs, SETTINGS)
    assert not list(tmp_path.glob("d*")) and (tmp_path / "file").read_text() == ""


def test_a_folder_with_neither_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError):
        tissue_slabs_of_folder(tmp_path, SETTINGS, progress=False)
