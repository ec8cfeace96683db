"""Data made once per test session; nothing is fetched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with real label maps and a little real CT; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("NEPHRO_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"needs the folder {folder.name} with KiTS19 label maps and real CT beside the repository")
    return folder


@pytest.fixture(scope="session")
def phantom_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small synthetic cases in KiTS19 layout: one malignant, one benign, one without a tumor."""
    from nephro_monai.phantom import CohortConfig, generate_cohort

    folder = tmp_path_factory.mktemp("phantom") / "data"
    cohort = CohortConfig(cases=3, seed=20, small=True, kinds=("malignant", "benign", "none"), tissues=True)
    generate_cohort(folder, cohort)
    return folder
