"""Folders that are no finished cross-validation; a finished one is in `tests/evaluation/test_cross_validation.py`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nephro_monai.engine import RunFoldsd
from nephro_monai.errors import BundleError


def test_no_cross_validation(tmp_path: Path):
    with pytest.raises(BundleError, match="holds no cross-validation"):
        RunFoldsd(tmp_path)
    (tmp_path / "cross_validation.json").write_text("{")
    with pytest.raises(BundleError, match="holds no cross-validation"):
        RunFoldsd(tmp_path)


def test_unfinished_cross_validation(tmp_path: Path):
    settings = {"system": "scnet", "folds": 3, "cascade_configs": []}
    (tmp_path / "cross_validation.json").write_text(json.dumps({"settings": settings}))
    (tmp_path / "fold_0").mkdir()
    (tmp_path / "fold_0" / "cascade.json").write_text("{}")
    with pytest.raises(BundleError, match=r"not finished \(1 of 3 folds are trained\)"):
        RunFoldsd(tmp_path)
