"""Fetches a file over HTTP: goes on after a cut, and takes nothing for whole that is not."""

from __future__ import annotations

import gzip
import re
import ssl
import threading
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO

from nephro_monai.errors import DownloadError, OutputError
from nephro_monai.io.atomic import atomic_path

__all__ = ["Progress", "Transfer", "check_gzip", "download", "partial_path"]

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here and the bytes in all (None if the server does not say)."""

_CHUNK = 256 * 1024
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_LONGEST_WAIT_S = 60.0
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True)
class Transfer:
    """How patient a download is.

    Attributes:
        timeout_s: A server that is silent for so long has stalled.
        attempts: Tries in a row that bring no new byte before giving up.
        wait_s: Wait before the second try; it doubles with each (a server's Retry-After comes first).
        stop: Ends waiting and reading when it is set.
    """

    timeout_s: float = 60.0
    attempts: int = 5
    wait_s: float = 1.0
    stop: threading.Event | None = None

    def pause(self, failures: int, asked_s: float | None) -> None:
        """Waits before another try."""
        seconds = asked_s if asked_s is not None else self.wait_s * 2 ** (failures - 1)
        (self.stop or threading.Event()).wait(min(seconds, _LONGEST_WAIT_S))

    def check_stop(self) -> None:
        """Ends the download if it is to stop.

        Raises:
            DownloadError: If so.
        """
        if self.stop is not None and self.stop.is_set():
            raise DownloadError("It was stopped; the next run goes on from here.")


class _TryAgainError(Exception):
    """A failure that may pass.

    Attributes:
        asked_s: Seconds the server asks to wait.
    """

    def __init__(self, reason: str, asked_s: float | None = None) -> None:
        super().__init__(reason)
        self.asked_s = asked_s


def download(
    url: str,
    target: Path,
    check: Callable[[Path], None] | None = None,
    transfer: Transfer | None = None,
    progress: Progress | None = None,
) -> None:
    """Fetches a file, in as many tries as it takes.

    Bytes gather in `partial_path(target)`, from which a later try or run goes on (HTTP ranges); the file takes its name
    when its size is as announced and `check` has passed. A file that does not pass is fetched once more from its first
    byte.

    Args:
        url: http or https.
        target: Where the file goes; folders are made.
        check: Raises `ValueError` with the reason if the file is not whole.
        transfer: How patient to be.
        progress: Called as bytes arrive.

    Raises:
        DownloadError: If it cannot be fetched; the message says why. What arrived stays for the next run, unless it
            did not pass the check.
        OutputError: If it cannot be written.
    """
    if not url.startswith(("http://", "https://")):
        raise DownloadError(f"{url} is no address to fetch from; give one that starts with http:// or https://.")
    transfer, partial = transfer or Transfer(), partial_path(target)
    for again in (False, True):
        _fetch_all(url, partial, transfer, progress)
        try:
            if check is not None:
                check(partial)
            break
        except ValueError as error:
            partial.unlink(missing_ok=True)
            if again:
                raise DownloadError(f"{url}: what the server sent, twice, is not whole: {error}") from error
    with atomic_path(target) as temporary:
        partial.replace(temporary)


def partial_path(target: Path) -> Path:
    """Where the bytes of an unfinished download lie."""
    return target.with_name(f".download-{target.name}")


def check_gzip(path: Path) -> None:
    """Reads a gzip file to its end, which compares its checksum and length.

    Raises:
        ValueError: If it is none, or damaged.
    """
    with path.open("rb") as file:
        start = file.read(60)
    if not start.startswith(b"\x1f\x8b"):
        raise ValueError(f"it is not gzip but starts with {start.decode('ascii', 'replace')!r}")
    try:
        with gzip.open(path) as file:
            while file.read(2**20):
                pass
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"its gzip stream is damaged ({error})") from error


def _fetch_all(url: str, partial: Path, transfer: Transfer, progress: Progress | None) -> None:
    """Tries until the partial file has the announced size; each try that brings something new starts the count anew."""
    most, failures = _size(partial), 0
    while True:
        transfer.check_stop()
        try:
            _fetch(url, partial, transfer, progress)
            return
        except _TryAgainError as error:
            failures = 1 if _size(partial) > most else failures + 1
            most = max(most, _size(partial))
            if failures >= transfer.attempts:
                raise DownloadError(f"{url}: {error} ({failures} tries).") from error
            transfer.pause(failures, error.asked_s)


def _fetch(url: str, partial: Path, transfer: Transfer, progress: Progress | None) -> None:
    """One request; returns when the file has the size that the server announced."""
    here = _size(partial)
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity", "User-Agent": "nephro-monai"})
    if here:
        request.add_header("Range", f"bytes={here}-")
    try:
        response = urllib.request.urlopen(request, timeout=transfer.timeout_s)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and here:
                _settle_end(error, partial, here)
                return
            text = f"the server answered {error.code} {error.reason}"
            if error.code in _PASSING:
                raise _TryAgainError(text, _asked_wait(error.headers.get("Retry-After"))) from error
            raise DownloadError(f"{url}: {text}.") from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise DownloadError(f"{url}: the server's certificate is not trusted ({reason}).") from error
        raise _TryAgainError(f"no answer ({reason or type(error).__name__})") from error
    with response:
        start, total = _placed(response, here)
        try:
            with _opened(partial, start) as file:
                _copy(response, file, (start, total), transfer, progress)
        except DownloadError:
            raise
        except OSError as error:
            raise OutputError(f"Cannot write {partial}: {error.strerror or error}; free space or rights.") from error
    size = _size(partial)
    if total is not None and size < total:
        raise _TryAgainError(f"the connection was cut after {size} of {total} bytes")


def _copy(
    response: HTTPResponse,
    file: IO[bytes],
    extent: tuple[int, int | None],
    transfer: Transfer,
    progress: Progress | None,
) -> None:
    """Appends what comes; an `OSError` that leaves here is the disk's."""
    size, total = extent
    while True:
        transfer.check_stop()
        try:
            chunk = response.read1(_CHUNK)
        except TimeoutError as error:
            raise _TryAgainError(f"the server stalled for {transfer.timeout_s:g} s after {size} bytes") from error
        except (OSError, HTTPException) as error:
            raise _TryAgainError(f"the connection broke after {size} bytes ({error})") from error
        if not chunk:
            return
        file.write(chunk)
        size += len(chunk)
        if progress is not None:
            progress(size, total)


def _placed(response: HTTPResponse, here: int) -> tuple[int, int | None]:
    """At which byte the answer starts, and the size of the whole file if the server says it."""
    length = response.headers.get("Content-Length")
    if response.status == 206:
        match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != here:
            raise _TryAgainError("the server sent another part of the file than it was asked for")
        return here, None if match[2] == "*" else int(match[2])
    if response.status != 200:
        raise _TryAgainError(f"the server answered {response.status} {response.reason}")
    return 0, int(length) if length and length.isdigit() else None


def _settle_end(error: urllib.error.HTTPError, partial: Path, here: int) -> None:
    """The server has no byte beyond those that are here: the file is whole, or is another one by now."""
    size = (error.headers.get("Content-Range") or "").rpartition("/")[2]
    if size.isdigit() and int(size) != here:
        partial.unlink(missing_ok=True)
        raise _TryAgainError(f"the server's file has {size} bytes, {here} were here; it is fetched anew")


def _opened(partial: Path, start: int) -> IO[bytes]:
    partial.parent.mkdir(parents=True, exist_ok=True)
    return partial.open("ab" if start else "wb")


def _asked_wait(value: str | None) -> float | None:
    return float(value) if value and value.isdigit() else None


def _size(path: Path) -> int:
    with suppress(FileNotFoundError, NotADirectoryError):
        return path.stat().st_size
    return 0
