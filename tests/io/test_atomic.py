"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nephro_monai.errors import OutputError
from nephro_monai.io import atomic_path, remove_partial_files


def test_the_file_appears_with_its_content_and_makes_its_folder(tmp_path):
    target = tmp_path / "new" / "case" / "label.nii.gz"
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.name.endswith(".nii.gz")
        assert temporary.suffixes[-2:] == [".nii", ".gz"]
        temporary.write_bytes(b"abc")
        assert not target.exists()
    assert target.read_bytes() == b"abc"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_file_and_no_other(tmp_path, error):
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(type(error)), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "not writable"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "another output folder"),
    ],
)
def test_system_errors_become_one_line_with_advice(tmp_path, number, words):
    target = tmp_path / "a.json"
    with pytest.raises(OutputError, match=words) as caught, atomic_path(target) as temporary:
        temporary.write_text("half")
        raise OSError(number, os.strerror(number))
    assert str(target) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_really_full_disk(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with pytest.raises(OutputError, match="disk is full"), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.symlink_to("/dev/full")
        temporary.write_text("x" * 100_000)
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_folder_is_needed(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="choose another output folder"), atomic_path(tmp_path / "out" / "a.txt") as t:
        t.write_text("x")


def test_an_unwritable_folder(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="not writable"), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("x")


def test_nothing_written_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="Cannot write"), atomic_path(tmp_path / "a.txt"):
        pass


def test_a_killed_process_leaves_no_half_file(tmp_path):
    target = tmp_path / "a.txt"
    root = Path(__file__).resolve().parents[2]
    code = (  # by its file, because importing the package costs seconds
        "import importlib.util, os, signal, sys\n"
        "spec = importlib.util.spec_from_file_location('atomic', 'nephro_monai/io/atomic.py')\n"
        "atomic = importlib.util.module_from_spec(spec)\nspec.loader.exec_module(atomic)\n"
        "with atomic.atomic_path(sys.argv[1]) as t:\n    t.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(target)], cwd=root, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not target.exists()
    assert remove_partial_files(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_only_partial_files_are_removed(tmp_path):
    (tmp_path / "segmentation.nii.gz").write_text("keep")
    (tmp_path / ".partial-1234-segmentation.nii.gz").write_text("")
    assert remove_partial_files(tmp_path) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["segmentation.nii.gz"]
    assert remove_partial_files(tmp_path / "absent") == 0
