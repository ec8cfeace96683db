"""What a user names becomes a list of scans."""

from __future__ import annotations

import numpy as np
import pytest

from nephro_monai.errors import ScanError
from nephro_monai.io import find_cases
from nephro_monai.io.cases import safe_name


def _touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def _named(cases):
    return {case.name: case.path for case in cases}


def _kits19(folder, count=3):
    for index in range(count):
        case = folder / f"case_{index:05d}"
        _touch(case / "imaging.nii.gz", case / "segmentation.nii.gz", case / "tissues.nii.gz")
    (folder / "kits.json").write_text("[]")


@pytest.mark.parametrize("suffix", ["nii", "nii.gz", "mha", "mhd", "nrrd", "nhdr", "NII.GZ"])
def test_a_file_is_a_case_named_without_suffix(tmp_path, suffix):
    path = tmp_path / f"my.scan.{suffix}"
    _touch(path)
    assert _named(find_cases([path])) == {"my.scan": str(path)}


def test_a_kits19_case_its_folder_and_the_parent_of_data(tmp_path):
    data = tmp_path / "kits19" / "data"
    _kits19(data)
    expected = {f"case_{i:05d}": str(data / f"case_{i:05d}" / "imaging.nii.gz") for i in range(3)}
    assert _named(find_cases([data])) == expected
    assert _named(find_cases([tmp_path / "kits19"])) == expected
    assert list(_named(find_cases([data / "case_00001"]))) == ["case_00001"]
    assert list(_named(find_cases([data / "case_00001" / "imaging.nii.gz"]))) == ["case_00001"]
    assert [case.name for case in find_cases([data])] == sorted(expected)


def test_a_folder_of_scans_with_dicom_subfolders(tmp_path, write_series):
    volume = np.zeros((4, 32, 32))
    write_series(volume, "all/patient_b/1")
    write_series(volume, "all/patient_a")
    _touch(tmp_path / "all" / "c.nii.gz", tmp_path / "all" / "d.mha", tmp_path / "all" / "notes.txt")
    _touch(
        tmp_path / "all" / "segmentation.nii.gz", tmp_path / "all" / ".hidden.nii.gz", tmp_path / "all" / "x" / "y.txt"
    )
    assert [case.name for case in find_cases([tmp_path / "all"])] == ["c", "d", "patient_a", "patient_b"]


def test_a_dicom_folder_is_one_case(write_series):
    folder = write_series(np.zeros((4, 32, 32)), "CT study, 2020")
    (case,) = find_cases([folder])
    assert (case.name, case.path) == ("CT_study__2020", str(folder))


def test_the_series_of_one_study_are_one_case_and_other_studies_are_others(tmp_path, write_series):
    for name in ("scout", "thick", "thin"):
        write_series(np.zeros((2, 32, 32)), f"study/{name}", study="1.2.3")
    assert [case.name for case in find_cases([tmp_path / "study"])] == ["study"]
    write_series(np.zeros((2, 32, 32)), "study/other", study="1.2.4")
    assert [case.name for case in find_cases([tmp_path / "study"])] == ["other", "scout", "thick", "thin"]


def test_the_same_name_twice_gets_the_parents_names_in_any_order(tmp_path):
    a, b = tmp_path / "a" / "ct.nii.gz", tmp_path / "b" / "CT.mha"
    _touch(a, b, tmp_path / "b" / "other.nii")
    names = {path: name for name, path in _named(find_cases([a, tmp_path / "b"])).items()}
    assert (names[str(a)], names[str(b)]) == ("a_ct", "b_CT")
    assert names == {path: name for name, path in _named(find_cases([tmp_path / "b", a])).items()}


def test_two_formats_of_one_name_keep_their_suffixes(tmp_path):
    _touch(tmp_path / "scan.mha", tmp_path / "scan.nii.gz", tmp_path / "other.mha")
    assert set(_named(find_cases([tmp_path]))) == {"scan.mha", "scan.nii.gz", "other"}


def test_a_folder_named_by_the_way_up_gets_its_own_name(tmp_path, monkeypatch, write_series):
    write_series(np.zeros((2, 32, 32)), "patient/scans")
    (tmp_path / "patient" / "scans" / "below").mkdir()
    monkeypatch.chdir(tmp_path / "patient" / "scans" / "below")
    assert [case.name for case in find_cases([".."])] == ["scans"]
    assert [case.name for case in find_cases(["../../../patient/scans"])] == ["scans"]


def test_the_same_scan_given_twice_is_one_case(tmp_path, monkeypatch):
    _touch(tmp_path / "ct.nii.gz")
    monkeypatch.chdir(tmp_path)
    assert len(find_cases(["ct.nii.gz", tmp_path / "ct.nii.gz", "."])) == 1


@pytest.mark.parametrize("name", ["../../etc", "a/b", "..", "", "  ", "C:\\x", "Müller Größe", "x" * 500, "-o", "a\nb"])
def test_names_are_safe_folder_names(tmp_path, name):
    safe = safe_name(name)
    assert safe
    assert len(safe) <= 120
    (tmp_path / safe).mkdir()
    assert (tmp_path / safe).parent == tmp_path
    assert not set(safe) & set('/\\:\n "')
    assert safe not in (".", "..")


def test_what_cannot_be_found_is_said(tmp_path):
    with pytest.raises(ScanError, match="No input"):
        find_cases([])
    with pytest.raises(ScanError, match="does not exist"):
        find_cases([tmp_path / "absent"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScanError, match="holds no scan"):
        find_cases([tmp_path / "empty"])
    _touch(tmp_path / "a.png")
    with pytest.raises(ScanError, match="unknown file type"):
        find_cases([tmp_path / "a.png"])
