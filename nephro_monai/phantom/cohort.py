"""Writes synthetic cases in KiTS19's layout: resumable, in parallel, the same bytes whatever the order."""

from __future__ import annotations

import fcntl
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray

from nephro_monai.errors import OutputError, TrainingDataError
from nephro_monai.io.atomic import atomic_path
from nephro_monai.phantom.config import KINDS, SMALL_SHAPE, Kind, PhantomConfig
from nephro_monai.phantom.generate import PhantomCase, generate_case

__all__ = ["CohortConfig", "generate_cohort", "list_label_maps", "parse_case_ranges", "write_case"]


@dataclass(frozen=True)
class CohortConfig:
    """Many cases.

    Attributes:
        cases: How many, at least 1.
        seed: Non-negative; case k of a cohort depends on (seed, k) alone.
        case: What every case should be; `kind` and `label_map` are set per case.
        kinds: Kinds, dealt out in turn.
        labels: KiTS19 data folder to take label maps from; None for procedural kidneys.
        exclude_cases: KiTS19 case numbers never to use.
        only_cases: KiTS19 case numbers to use alone; None for all.
        small: Whether cases are `SMALL_SHAPE` (instead of `case.shape`).
        tissues: Whether to write `tissues.nii.gz` too.
        first_index: Number of the first case.
        workers: Processes, at least 1.
        overwrite: Whether cases that exist are made again.
    """

    cases: int
    seed: int = 0
    case: PhantomConfig = field(default_factory=PhantomConfig)
    kinds: tuple[Kind, ...] = ("random",)
    labels: Path | None = None
    exclude_cases: frozenset[int] = frozenset()
    only_cases: frozenset[int] | None = None
    small: bool = False
    tissues: bool = False
    first_index: int = 0
    workers: int = 1
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Checks numbers and kinds.

        Raises:
            ValueError: If one is outside what is documented above.
        """
        for name, least in (("cases", 1), ("seed", 0), ("first_index", 0), ("workers", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        if self.small and self.case.shape is not None:
            raise ValueError("small and a shape exclude each other; give one of them.")
        if self.labels is None and (self.exclude_cases or self.only_cases is not None):
            raise ValueError("Case ranges choose among label maps; give the folder of label maps too.")
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not self.kinds:
            raise ValueError(f"kinds must be some of {', '.join(KINDS)}, got {list(self.kinds)}.")


def parse_case_ranges(text: str) -> frozenset[int]:
    """Case numbers of a text such as "120-134,141-149" or "7".

    Raises:
        ValueError: If the text is something else.
    """
    numbers: set[int] = set()
    for part in filter(None, (p.strip() for p in text.split(","))):
        first, _, last = (text.strip() for text in part.partition("-"))
        if not first.isdigit() or (last and not last.isdigit()) or part.endswith("-"):
            raise ValueError(f"Cannot read the case range {part!r}; write for example 120-134,141-149.")
        low, high = int(first), int(last or first)
        if high < low:
            raise ValueError(f"The case range {part!r} runs backwards; write {high}-{low}.")
        numbers.update(range(low, high + 1))
    return frozenset(numbers)


def list_label_maps(
    folder: Path, exclude: frozenset[int] = frozenset(), only: frozenset[int] | None = None
) -> list[Path]:
    """Segmentations of a KiTS19 data folder, by case number.

    Raises:
        TrainingDataError: If none is left.
    """
    found = []
    for path in sorted(folder.glob("case_*/segmentation.nii.gz")):
        digits = path.parent.name.removeprefix("case_")
        if digits.isdigit() and int(digits) not in exclude and (only is None or int(digits) in only):
            found.append(path)
    if not found:
        raise TrainingDataError(
            f"{folder} holds no case_*/segmentation.nii.gz that the given case ranges allow; "
            "point --labels at KiTS19's data folder or widen the ranges."
        )
    return found


def _config_of(cohort: CohortConfig, index: int, maps: Sequence[Path]) -> PhantomConfig:
    """Case `index`'s own config: label maps are dealt without repetition, then shuffled anew."""
    kind = cohort.kinds[index % len(cohort.kinds)]
    label_map = None
    if maps:
        order = np.random.default_rng([cohort.seed, 7919, index // len(maps)]).permutation(len(maps))
        label_map = maps[int(order[index % len(maps)])]
    shape = SMALL_SHAPE if cohort.small else cohort.case.shape
    return replace(cohort.case, kind=kind, label_map=label_map, shape=shape)


def _save(path: Path, array: NDArray[Any], affine: NDArray[np.float64], level: int) -> None:
    """NIfTI with the same bytes for the same voxels (no time stamp in the gzip header)."""
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(image.to_bytes(), compresslevel=level, mtime=0))


def write_case(folder: Path, case: PhantomCase, tissues: bool = False) -> None:
    """Writes imaging, segmentation and, where there are any, tissues and the second phase into a case folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _save(folder / "segmentation.nii.gz", case.label, case.affine, 4)
    if tissues:
        _save(folder / "tissues.nii.gz", case.tissues, case.affine, 4)
    if case.second_image is not None:
        phase = case.record["phantom"]["second_phase"]
        _save(folder / f"imaging_{phase}.nii.gz", case.second_image, case.affine, 1)
    _save(folder / "imaging.nii.gz", case.image, case.affine, 1)


def _make(out: Path, config: PhantomConfig, seed: tuple[int, int], tissues: bool) -> dict[str, Any]:
    """Makes and writes one case; runs in a worker process."""
    name = f"case_{seed[1]:05d}"
    case = generate_case(config, seed, name)
    write_case(out / name, case, tissues)
    return case.record


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Several commands may fill one folder; only one at a time touches kits.json."""
    with (out / ".kits.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read_records(out: Path) -> dict[str, dict[str, Any]]:
    path = out / "kits.json"
    if not path.exists():
        return {}
    try:
        return {record["case_id"]: record for record in json.loads(path.read_text())}
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingDataError(
            f"{path} is not a list of KiTS19 records ({error}); remove it or choose another folder."
        ) from error


def _add_record(out: Path, record: dict[str, Any]) -> None:
    with _locked(out):
        records = _read_records(out)
        records[record["case_id"]] = record
        ordered = [records[name] for name in sorted(records)]
        with atomic_path(out / "kits.json") as temporary:
            temporary.write_text(json.dumps(ordered, indent=1) + "\n")


def _is_done(out: Path, name: str, records: dict[str, dict[str, Any]], cohort: CohortConfig) -> bool:
    files = ["imaging", "segmentation"] + (["tissues"] if cohort.tissues else [])
    if cohort.case.second_phase is not None:
        files.append(f"imaging_{cohort.case.second_phase}")
    return name in records and all((out / name / f"{stem}.nii.gz").exists() for stem in files)


def _refuse_other_seeds(out: Path, kept: dict[str, dict[str, Any]], seed: int) -> None:
    """Cases of another seed would pass for those asked for."""
    for name, record in kept.items():
        before = record.get("phantom", {}).get("seed", [seed])[0]
        if before != seed:
            raise TrainingDataError(
                f"{name} in {out} was made with seed {before}, not {seed}. Give another --out or --first-index, or "
                "--overwrite to make it again."
            )


def generate_cohort(
    out: Path,
    cohort: CohortConfig | None = None,
    progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> list[dict[str, Any]]:
    """Writes a cohort in KiTS19's layout and returns its records.

    Args:
        out: Folder; cases that are complete in it are kept unless `overwrite`.
        cohort: What to make.
        progress: Called with (done, total) after every case.
        **settings: Fields of `CohortConfig` that replace the cohort's.

    Raises:
        ValueError: If a setting is out of range.
        TrainingDataError: If no label map can be used, or a case that would be kept was made with another seed.
        OutputError: If the folder cannot be written.
    """
    cohort = replace(cohort, **settings) if cohort is not None else CohortConfig(**settings)
    maps = list_label_maps(cohort.labels, cohort.exclude_cases, cohort.only_cases) if cohort.labels else []
    try:
        out.mkdir(parents=True, exist_ok=True)
        with _locked(out):
            records = _read_records(out)
    except OSError as error:
        raise OutputError(f"Cannot write to {out}: {error.strerror}; choose another --out.") from error
    indices = range(cohort.first_index, cohort.first_index + cohort.cases)
    names = {index: f"case_{index:05d}" for index in indices}
    todo = [i for i in indices if cohort.overwrite or not _is_done(out, names[i], records, cohort)]
    _refuse_other_seeds(out, {names[i]: records[names[i]] for i in indices if i not in todo}, cohort.seed)
    done = len(indices) - len(todo)
    if progress:
        progress(done, len(indices))
    jobs = ((out, _config_of(cohort, i, maps), (cohort.seed, i), cohort.tissues) for i in todo)
    for record in _run(jobs, min(cohort.workers, max(1, len(todo)))):
        _add_record(out, record)
        done += 1
        if progress:
            progress(done, len(indices))
    records = _read_records(out)
    return [records[name] for name in names.values()]


def _run(jobs: Iterator[tuple[Any, ...]], workers: int) -> Iterator[dict[str, Any]]:
    """Records of finished jobs, in the order they finish."""
    if workers == 1:
        for job in jobs:
            yield _make(*job)
        return
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        for future in as_completed([pool.submit(_make, *job) for job in jobs]):
            yield future.result()
