"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nephro_monai.errors import OutputError

__all__ = ["atomic_path", "remove_partial_files"]

_PREFIX = ".partial-"
_HELP = {
    errno.ENOSPC: "the disk is full; free some space or choose another output folder",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another output folder",
    errno.EACCES: "the folder is not writable for this user; choose another one or change its permissions",
    errno.EPERM: "the folder is not writable for this user; choose another one or change its permissions",
    errno.EROFS: "the file system is read-only; choose another output folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another output folder",
    errno.EEXIST: "a file stands where a folder is needed; choose another output folder",
    errno.EISDIR: "a folder stands where the file should go; remove it or choose another output folder",
    errno.ENAMETOOLONG: "the name is too long for this file system; use a shorter one",
}


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; what is written there takes the final name when the block ends well.

    The temporary name lies in the same folder (so that the move is atomic) and ends like `path` (so that writers
    that look at `.nii.gz` or `.png` do the same). Missing parent folders are made. When the block raises, the
    temporary file is removed and whatever stood at `path` before stays untouched.

    Args:
        path: Where the finished file goes.

    Yields:
        The path to write to.

    Raises:
        OutputError: If the folder or the file cannot be written; the message says why and what to do.
    """
    target = Path(path)
    temporary = target.with_name(f"{_PREFIX}{secrets.token_hex(4)}-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        temporary.replace(target)
        _flush(target.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, OutputError):
            raise OutputError(_explanation(target, error)) from error
        raise


def remove_partial_files(folder: str | Path) -> int:
    """Removes what interrupted runs left in `folder` (not below it).

    Call it only while no other process writes there.

    Returns:
        How many files were removed.
    """
    removed = 0
    for leftover in Path(folder).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            leftover.unlink()
            removed += 1
    return removed


def _flush(path: Path) -> None:
    """Forces a file's or folder's content to the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() or os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot flush folders
            raise
    finally:
        os.close(descriptor)


def _explanation(target: Path, error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    advice = _HELP.get(error.errno or 0, "choose another output folder")
    return f"Cannot write {target}: {reason}; {advice}."
