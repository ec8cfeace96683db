"""Runs cases through the journey: progress, one bad case never stops the rest, resume, manifest."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from monai.transforms import Compose
from monai.utils import set_determinism
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from nephro_monai.engine.manifest import Manifest, is_done, read_diagnosis
from nephro_monai.errors import CasesFailedError, NephroError, OutputError
from nephro_monai.io.atomic import remove_partial_files
from nephro_monai.structures import Case

__all__ = ["CaseOutcome", "CaseRunner", "RunOptions"]

_STAGES = {
    "LoadScand": "read",
    "LocalizeKidneysd": "localize",
    "SegmentKidneyTumord": "segment",
    "MeasureKidneysd": "measure",
    "CropTumorSlicesd": "crop",
    "ColorizeSlicesd": "colorize",
    "ClassifySlicesd": "classify",
    "VoteMalignancyd": "vote",
    "ExplainSlicesd": "explain",
    "RunFoldsd": "folds",
    "VoteSegmentationsd": "vote",
    "VoteFoldsd": "vote of folds",
    "CheckTrainingRanged": "check",
    "SaveSegmentationd": "write",
    "SaveReportd": "report",
    "SaveDiagnosisd": "diagnosis",
}


@dataclass(frozen=True)
class RunOptions:
    """How a run behaves.

    Attributes:
        overwrite: Whether cases that are done are done again.
        debug: Whether the traceback of a failed case is printed.
        seed: Seed of every random generator before each case.
        device: Written into the manifest.
        arguments: The command line's arguments, written into the manifest.
        progress: Whether bars are drawn.
    """

    overwrite: bool = False
    debug: bool = False
    seed: int = 0
    device: str = "cpu"
    arguments: Sequence[str] | None = None
    progress: bool = True


@dataclass(frozen=True)
class CaseOutcome:
    """What became of one case.

    Attributes:
        case: The case.
        status: "done", "skipped" (it was done before) or "failed".
        reason: Why it failed, or what to know of a skipped one.
        seconds: By stage.
        diagnosis: The content of its diagnosis.json.
    """

    case: Case
    status: Literal["done", "skipped", "failed"]
    reason: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    diagnosis: dict[str, Any] | None = None


class CaseRunner:
    """Takes every case through the journey and the writers.

    Args:
        cases: What to run, each with a name of its own.
        journey: Stages from reading to the vote.
        writers: Transforms that write the results; `SaveDiagnosisd` last, because its file marks a case as done.
        output_dir: Folder with one subfolder per case, `summary.csv` and `run.json`.
        provenance: Bundles and weights, as `engine.provenance` gives them.
        options: See `RunOptions`.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        journey: Compose,
        writers: Compose,
        output_dir: str | Path,
        provenance: Mapping[str, Mapping[str, Any]],
        options: RunOptions | None = None,
    ) -> None:
        self.cases = list(cases)
        self.journey = journey
        self.writers = writers
        self.output_dir = Path(output_dir)
        self.provenance = dict(provenance)
        self.options = options or RunOptions()
        self.outcomes: list[CaseOutcome] = []
        self._console = Console(stderr=True)

    def quiet(self) -> None:
        """Draws no bars."""
        self.options = replace(self.options, progress=False)

    def run(self) -> list[CaseOutcome]:
        """Runs all cases and returns what became of each, in the order given.

        Raises:
            OutputError: If the output folder cannot be written.
        """
        manifest = Manifest(self.output_dir, self.provenance, self.options)
        manifest.open()
        self.outcomes = []
        with self._bars() as bars, ThreadPoolExecutor(1, thread_name_prefix="read") as reader:
            cases_bar = bars.add_task("cases", total=len(self.cases))
            for case, reading in self._read_ahead(reader):
                outcome = self._run_case(case, reading, bars)
                self.outcomes.append(outcome)
                self._record(manifest.add, outcome)
                bars.advance(cases_bar)
        self._record(manifest.close)
        return self.outcomes

    def raise_failed(self) -> None:
        """Ends `monai.bundle run` with an exit status of its own if a case of the run failed, after all have run.

        Raises:
            CasesFailedError: Which failed, and why.
        """
        failed = [outcome for outcome in self.outcomes if outcome.status == "failed"]
        if failed:
            named = "; ".join(f"{outcome.case.name}: {outcome.reason}" for outcome in failed)
            raise CasesFailedError(f"{len(failed)} of {len(self.outcomes)} cases failed. {named}")

    def _record(self, write: Callable[..., None], *arguments: Any) -> None:
        """A manifest that cannot be written (a full disk) is told of, and stops no case."""
        try:
            write(*arguments)
        except OutputError as error:
            self._console.print(one_line(error), style="red", markup=False, highlight=False)

    def _bars(self) -> Progress:
        return Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeRemainingColumn(), console=self._console, disable=not self.options.progress, transient=False,
        )  # fmt: skip

    def _read_ahead(self, reader: ThreadPoolExecutor) -> Iterator[tuple[Case, Future[dict[str, Any]] | CaseOutcome]]:
        """Reads the next case while the present one runs; cases that are done are not read."""
        plans = [(case, self._already_done(case)) for case in self.cases]
        waiting = iter([case for case, outcome in plans if outcome is None])

        def start() -> Future[dict[str, Any]] | None:
            case = next(waiting, None)
            return None if case is None else reader.submit(self._read, case)

        upcoming = start()
        for case, outcome in plans:
            if outcome is not None:
                yield case, outcome
                continue
            current, upcoming = upcoming, None
            if current is None:  # cannot happen: one future per waiting case
                raise RuntimeError(f"No reading was started for {case.name}.")
            current.exception()  # waits, so that at most one scan is being read beside the one that runs
            upcoming = start()
            yield case, current
            del current

    def _already_done(self, case: Case) -> CaseOutcome | None:
        folder = self.output_dir / case.name
        if self.options.overwrite or not is_done(folder):
            return None
        diagnosis = read_diagnosis(folder)
        note = "done before; --overwrite does it again"
        if diagnosis is not None and diagnosis.get("scan", {}).get("path") not in (None, case.path):
            note = f"done before from {diagnosis['scan']['path']}, not from {case.path}; --overwrite does it again"
        elif diagnosis is not None and diagnosis.get("provenance") != self.provenance:
            note = "done before with other weights; --overwrite does it again"
        return CaseOutcome(case, "skipped", note, diagnosis=diagnosis)

    def _read(self, case: Case) -> dict[str, Any]:
        started = time.perf_counter()
        data: dict[str, Any] = self.journey.transforms[0]({"image": case.path, "case": case.name})
        data["seconds"] = {_stage_name(self.journey.transforms[0]): time.perf_counter() - started}
        return data

    def _run_case(self, case: Case, reading: Future[dict[str, Any]] | CaseOutcome, bars: Progress) -> CaseOutcome:
        if isinstance(reading, CaseOutcome):
            return reading
        set_determinism(self.options.seed)
        remove_partial_files(self.output_dir / case.name)
        steps = [*self.journey.transforms[1:], *self.writers.transforms]
        bar = bars.add_task(f"{case.name}: read", total=len(steps))
        seconds: dict[str, float] = {}
        try:
            data = reading.result()
            seconds = data["seconds"]
            for step in steps:
                bars.update(bar, description=f"{case.name}: {_stage_name(step)}")
                started = time.perf_counter()
                if step is self.writers.transforms[0]:  # cut from here on, the case is not done: no old verdict stays
                    (self.output_dir / case.name / "diagnosis.json").unlink(missing_ok=True)
                with torch.inference_mode():
                    data = step(data)
                seconds[_stage_name(step)] = time.perf_counter() - started
                bars.advance(bar)
        except Exception as error:
            if self.options.debug:
                self._console.print(traceback.format_exc(), markup=False, highlight=False)
            reason = one_line(error)
            self._console.print(f"{case.name}: {reason}", style="red", markup=False, highlight=False)
            return CaseOutcome(case, "failed", reason, seconds)
        finally:
            bars.remove_task(bar)
        return CaseOutcome(case, "done", "", seconds, read_diagnosis(self.output_dir / case.name))


def _stage_name(step: Callable[..., Any]) -> str:
    return _STAGES.get(type(step).__name__, type(step).__name__)


def one_line(error: BaseException) -> str:
    """An error as one line for people: a message of ours as it is, others with their kind."""
    text = " ".join(str(error).split())
    if isinstance(error, NephroError):
        return text
    if isinstance(error, MemoryError) or "not enough memory" in text or "out of memory" in text:
        return f"Not enough memory ({text[:160]}). Close other programs, or give --device cpu."
    if isinstance(error, OSError) and not isinstance(error, OutputError):
        return f"{error.strerror or type(error).__name__}: {error.filename or text}"
    return f"Unexpected {type(error).__name__}: {text[:300]}. `nephro --debug ...` prints the traceback."
