"""Downloads KiTS19 as its organizers publish it, into the layout that everything here reads."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from nephro_monai.errors import NephroError
from nephro_monai.io.download import Transfer, check_gzip, download

__all__ = ["IMAGES_URL", "LABELS_URL", "FetchReport", "Kits19Addresses", "fetch_kits19"]

IMAGES_URL = "https://huggingface.co/datasets/neheller/KiTS-Challenge-Imaging/resolve/main/images"
"""Where the organizers' starter code (repository neheller/kits19) fetches case_00000.nii.gz and so on."""

LABELS_URL = "https://raw.githubusercontent.com/neheller/kits19/master/data"
"""The data folder of the organizers' repository: case_00000/segmentation.nii.gz and kits.json."""

_LABELED = 210
"""Cases from here on are the challenge's test set; their labels are not in KiTS19."""

State = Literal["active", "done", "skipped", "failed"]


@dataclass(frozen=True)
class Kits19Addresses:
    """Base addresses, without the file's own name.

    Attributes:
        images: Holds case_00000.nii.gz, ...
        labels: Holds case_00000/segmentation.nii.gz, ..., and kits.json.
    """

    images: str = IMAGES_URL
    labels: str = LABELS_URL

    def files(self, cases: Sequence[int], labels: bool = True) -> list[tuple[str, str]]:
        """Addresses and where each goes in the data folder: kits.json, then image and label of each case."""
        wanted = [(f"{self.labels.rstrip('/')}/kits.json", "kits.json")] if labels else []
        for case in cases:
            name = f"case_{case:05d}"
            wanted.append((f"{self.images.rstrip('/')}/{name}.nii.gz", f"{name}/imaging.nii.gz"))
            if labels and case < _LABELED:
                path = f"{name}/segmentation.nii.gz"
                wanted.append((f"{self.labels.rstrip('/')}/{path}", path))
        return wanted


@dataclass(frozen=True)
class FetchReport:
    """What became of the files.

    Attributes:
        done: Fetched now.
        skipped: There already.
        failed: Not fetched, with the reason.
    """

    done: tuple[str, ...]
    skipped: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]


def fetch_kits19(
    out: Path,
    cases: Sequence[int],
    addresses: Kits19Addresses | None = None,
    labels: bool = True,
    parallel: int = 4,
    transfer: Transfer | None = None,
    progress: Callable[[str, State, int, int | None], None] | None = None,
) -> FetchReport:
    """Fetches images, labels and kits.json; one that fails stops no other, and a later run goes on where this stopped.

    Args:
        out: Data folder; files that it has are not fetched again.
        cases: Numbers, 0 to 299.
        addresses: Where from; the organizers' by default.
        labels: Whether to fetch label maps and kits.json too.
        parallel: Files fetched at once.
        transfer: How patient to be.
        progress: Called with a file's name, its state, the bytes here and the bytes in all (None if not known).

    Raises:
        ValueError: If a number is outside 0..299 or there is no worker.
    """
    if not cases or min(cases) < 0 or max(cases) > 299 or parallel < 1:
        raise ValueError(f"KiTS19 has the cases 0 to 299, fetched by one worker or more; got {cases} and {parallel}.")
    tell = progress or _silent
    wanted = (addresses or Kits19Addresses()).files(cases, labels)
    skipped = [name for _, name in wanted if (out / name).is_file()]
    for name in skipped:
        tell(name, "skipped", 0, None)
    stop = threading.Event()
    patience = replace(transfer or Transfer(), stop=stop)
    done, failed = [], []
    with ThreadPoolExecutor(parallel) as pool:
        jobs = {
            pool.submit(_fetch, url, out / name, patience, partial(tell, name, "active")): name
            for url, name in wanted if name not in skipped
        }  # fmt: skip
        try:
            for job in as_completed(jobs):
                name, reason = jobs[job], _reason(job)
                if reason is None:
                    done.append(name)
                else:
                    failed.append((name, reason))
                tell(name, "failed" if reason else "done", 0, None)
        except BaseException:  # Ctrl-C: the threads end at their next chunk
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return FetchReport(tuple(sorted(done)), tuple(skipped), tuple(sorted(failed)))


def _fetch(url: str, target: Path, transfer: Transfer, progress: Callable[[int, int | None], None]) -> None:
    transfer.check_stop()
    download(url, target, check_gzip if target.name.endswith(".gz") else _check_records, transfer, progress)


def _silent(name: str, state: State, here: int, total: int | None) -> None:
    """Tells nobody."""


def _reason(job: Future[None]) -> str | None:
    """Why a file failed; None if it did not."""
    error = job.exception()
    if error is None:
        return None
    return str(error) if isinstance(error, NephroError) else f"{type(error).__name__}: {error}"


def _check_records(path: Path) -> None:
    """Raises `ValueError` unless the file is a JSON list of records with a case_id."""
    records = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(records, list) or not all(isinstance(r, dict) and "case_id" in r for r in records):
        raise ValueError("it is no list of records with a case_id")
