"""Cohorts on disk: layout, records, ranges, resuming."""

from __future__ import annotations

import hashlib
import json

import nibabel as nib
import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from nephro_monai.cli.phantom import phantom
from nephro_monai.errors import OutputError, TrainingDataError
from nephro_monai.phantom import CohortConfig, PhantomConfig, generate_cohort
from nephro_monai.phantom.cohort import list_label_maps, parse_case_ranges

TINY = PhantomConfig(shape=(16, 64, 64), special="ordinary")
KINDS = ("malignant", "benign", "none")


def _digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.nii.gz"))
    }


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    records = generate_cohort(folder, CohortConfig(cases=3, seed=5, case=TINY, kinds=KINDS, tissues=True))
    return folder, records


def test_layout_and_orientation(cohort):
    folder, _ = cohort
    assert sorted(p.name for p in folder.glob("case_*")) == ["case_00000", "case_00001", "case_00002"]
    for name, dtype in (("imaging", np.int16), ("segmentation", np.uint8), ("tissues", np.uint8)):
        image = nib.load(folder / "case_00001" / f"{name}.nii.gz")
        assert image.shape == (16, 64, 64) and image.get_data_dtype() == dtype
        assert nib.aff2axcodes(image.affine) == ("I", "P", "L")
        assert image.header.get_xyzt_units()[0] == "mm"
        np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-4)
    assert not list(folder.rglob(".partial*"))


def test_records(cohort):
    folder, records = cohort
    stored = json.loads((folder / "kits.json").read_text())
    assert stored == records
    assert [r["malignant"] for r in stored] == [True, False, None]
    for record in stored:
        assert record["synthetic"] is True and record["age_at_nephrectomy"] is None
        assert record["phantom"]["source_label_case"] is None and record["phantom"]["seed"][0] == 5


def test_records_have_kits19s_fields(cohort, shared):
    real = json.loads((shared / "kits19" / "data" / "kits.json").read_text())[0]
    for record in cohort[1]:
        assert set(record) == set(real) | {"synthetic", "phantom"}
        assert set(record["voxel_spacing"]) == set(real["voxel_spacing"])


def test_a_case_depends_on_its_number_alone(cohort, tmp_path):
    folder, records = cohort
    settings = CohortConfig(cases=1, seed=5, case=TINY, kinds=KINDS, tissues=True, first_index=1)
    assert generate_cohort(tmp_path, settings) == records[1:2]
    wanted = {name: digest for name, digest in _digests(folder).items() if name.startswith("case_00001")}
    assert _digests(tmp_path) == wanted


def test_resuming_makes_only_what_is_missing(cohort, tmp_path):
    settings = CohortConfig(cases=2, seed=5, case=TINY, kinds=KINDS)
    generate_cohort(tmp_path, settings)
    before = _digests(tmp_path)
    (tmp_path / "case_00001" / "imaging.nii.gz").unlink()
    stamp = (tmp_path / "case_00000" / "imaging.nii.gz").stat().st_mtime_ns
    calls = []
    generate_cohort(tmp_path, settings, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 2), (2, 2)]
    assert _digests(tmp_path) == before
    assert (tmp_path / "case_00000" / "imaging.nii.gz").stat().st_mtime_ns == stamp


@pytest.mark.slow
def test_workers_make_the_same_bytes(cohort, tmp_path):
    generate_cohort(tmp_path, CohortConfig(cases=3, seed=5, case=TINY, kinds=KINDS, tissues=True, workers=2))
    assert _digests(tmp_path) == _digests(cohort[0])


@pytest.mark.parametrize(
    ("text", "numbers"), [("120-122,7", {120, 121, 122, 7}), ("", set()), ("3", {3}), (" 1 - 2 ", {1, 2})]
)
def test_case_ranges(text, numbers):
    assert parse_case_ranges(text) == numbers


@pytest.mark.parametrize("text", ["a", "5-", "9-3", "1-2-3", "-4"])
def test_bad_case_ranges(text):
    with pytest.raises(ValueError, match="case range"):
        parse_case_ranges(text)


def _label_folder(folder):
    """Twelve case folders; only the names matter here."""
    for number in range(12):
        path = folder / f"case_{number:05d}" / "segmentation.nii.gz"
        path.parent.mkdir(parents=True)
        path.touch()
    return folder


def test_label_maps_are_chosen_by_number(tmp_path):
    folder = _label_folder(tmp_path)
    names = [path.parent.name for path in list_label_maps(folder, parse_case_ranges("2-9"))]
    assert names == ["case_00000", "case_00001", "case_00010", "case_00011"]
    only = list_label_maps(folder, parse_case_ranges("3"), parse_case_ranges("3-4"))
    assert [path.parent.name for path in only] == ["case_00004"]
    with pytest.raises(TrainingDataError, match="case ranges allow"):
        list_label_maps(folder, only=parse_case_ranges("50-60"))


def test_around_a_real_label_map(shared, tmp_path):
    labels = shared / "kits19" / "data"
    settings = CohortConfig(
        cases=2, seed=1, case=PhantomConfig(shape=(24, 96, 96)), labels=labels,
        only_cases=frozenset({48}), kinds=("benign", "none"), tissues=True,
    )  # fmt: skip
    records = generate_cohort(tmp_path, settings)
    assert [r["phantom"]["source_label_case"] for r in records] == ["case_00048"] * 2
    for record in records:
        label = np.asarray(nib.load(tmp_path / record["case_id"] / "segmentation.nii.gz").dataobj)
        assert (label == 1).any() and bool((label == 2).any()) == (record["malignant"] is not None)


@pytest.mark.parametrize(
    "settings",
    [{"cases": 0}, {"cases": 1, "seed": -1}, {"cases": 1, "workers": 0}, {"cases": 1, "kinds": ("odd",)},
     {"cases": 1, "kinds": ()}, {"cases": 1, "small": True, "case": TINY},
     {"cases": 1, "exclude_cases": frozenset({1})}],
)  # fmt: skip
def test_bad_cohorts_are_refused(settings):
    with pytest.raises(ValueError, match=r"must be|exclude each other|label maps"):
        CohortConfig(**settings)


def test_an_unwritable_folder_is_one_clear_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Cannot write"):
        generate_cohort(tmp_path / "file", CohortConfig(cases=1, case=TINY))


def test_a_foreign_kits_json_is_not_overwritten(tmp_path):
    (tmp_path / "kits.json").write_text("{}x")
    with pytest.raises(TrainingDataError, match=r"kits\.json"):
        generate_cohort(tmp_path, CohortConfig(cases=1, case=TINY))
    assert (tmp_path / "kits.json").read_text() == "{}x"


def test_the_command(tmp_path):
    app = Typer()
    app.command()(phantom)
    arguments = ["--out", str(tmp_path), "--cases", "1", "--seed", "3", "--shape", "16", "64", "64", "--kind", "benign"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "1 benign" in result.output
    assert (tmp_path / "case_00000" / "segmentation.nii.gz").exists()


def test_cases_of_another_seed_do_not_pass_for_those_asked_for(cohort):
    folder, _ = cohort
    before = _digests(folder)
    with pytest.raises(TrainingDataError, match=r"case_00000 .*made with seed 5, not 6.*--overwrite"):
        generate_cohort(folder, CohortConfig(cases=1, seed=6, case=TINY, tissues=True))
    assert _digests(folder) == before
