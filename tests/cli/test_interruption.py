"""A run that is killed leaves whole files only, and goes on where it stopped."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np


def command(cohort: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "nephro_monai.cli.main", "predict", str(cohort), "--out", str(out), "--device", "cpu"]


def test_a_killed_run_goes_on_where_it_stopped(phantom_cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command(phantom_cohort, out), env=environment, stderr=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 200
        while not (out / "case_00000" / "diagnosis.json").exists():
            assert run.poll() is None and time.monotonic() < deadline, "no case was done"
            time.sleep(0.02)
        run.kill()
    for path in out.rglob("*.json"):
        if not path.name.startswith(".partial-"):
            json.loads(path.read_text())
    for path in out.rglob("segmentation.nii.gz"):
        if not path.name.startswith(".partial-"):
            np.asanyarray(nib.load(path).dataobj)
    first = (out / "case_00000" / "diagnosis.json").stat().st_mtime_ns

    subprocess.run(command(phantom_cohort, out), env=environment, check=True, capture_output=True, timeout=300)

    rows = {row["case"]: row["status"] for row in csv.DictReader((out / "summary.csv").open())}
    assert rows["case_00000"] == "skipped" and rows["case_00002"] == "done"
    assert (out / "case_00000" / "diagnosis.json").stat().st_mtime_ns == first
    assert not list(out.rglob(".partial-*"))
