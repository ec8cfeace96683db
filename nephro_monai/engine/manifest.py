"""`summary.csv` and `run.json` of a run over cases."""

from __future__ import annotations

import csv
import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nephro_monai.constants import DISCLAIMER
from nephro_monai.engine.environment import git_revision, peak_memory_gib, versions
from nephro_monai.errors import OutputError
from nephro_monai.io.atomic import atomic_path, remove_partial_files
from nephro_monai.io.training_notice import training_notice

if TYPE_CHECKING:
    from nephro_monai.engine.runner import CaseOutcome, RunOptions

__all__ = ["CASE_FILES", "Manifest", "is_done", "read_diagnosis", "summary_row"]

CASE_FILES = ("segmentation.nii.gz", "overview.png", "report.html", "diagnosis.json")
"""What a finished case has; diagnosis.json is written last."""

_COLUMNS = (
    "case", "status", "verdict", "reason", "mean_probability_malignant", "slices", "kidneys", "kidney_ml",
    "tumors", "tumor_ml", "largest_tumor_mm", "seconds", "path", "notice",
)  # fmt: skip


def is_done(folder: Path) -> bool:
    """Whether a case's folder holds all its files."""
    return all((folder / name).is_file() for name in CASE_FILES)


def read_diagnosis(folder: Path) -> dict[str, Any] | None:
    """The content of a case's diagnosis.json; None if there is none or it is broken."""
    try:
        return dict(json.loads((folder / "diagnosis.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


class Manifest:
    """Keeps `summary.csv` and `run.json` true after every case, so that a cut leaves them readable.

    Args:
        output_dir: Folder of the run.
        provenance: Bundles and weights.
        options: How the run behaves.
    """

    def __init__(self, output_dir: Path, provenance: Mapping[str, Any], options: RunOptions) -> None:
        self.output_dir = output_dir
        self.provenance = provenance
        self.options = options
        self.rows: list[dict[str, Any]] = []
        self.outcomes: list[CaseOutcome] = []
        self._started = _now()

    def open(self) -> None:
        """Makes the folder and writes the first, unfinished manifest.

        Raises:
            OutputError: If the folder cannot be made or written.
        """
        try:
            self.output_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"The output folder {self.output_dir} cannot be made ({error.strerror}). Give a folder you may write."
            ) from error
        remove_partial_files(self.output_dir)
        self._write(finished=None)

    def add(self, outcome: CaseOutcome) -> None:
        """Adds a case and writes both files anew."""
        self.outcomes.append(outcome)
        self.rows.append(summary_row(outcome))
        self._write(finished=None)

    def close(self) -> None:
        """Writes the finished manifest."""
        self._write(finished=_now())

    def _write(self, finished: str | None) -> None:
        with atomic_path(self.output_dir / "summary.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _COLUMNS)
            writer.writeheader()
            writer.writerows(self.rows)
        with atomic_path(self.output_dir / "run.json") as path:
            path.write_text(json.dumps(self._content(finished), indent=2) + "\n", encoding="utf-8")

    def _content(self, finished: str | None) -> dict[str, Any]:
        counts = {status: sum(o.status == status for o in self.outcomes) for status in ("done", "skipped", "failed")}
        per_case = {o.case.name: {k: round(v, 3) for k, v in o.seconds.items()} for o in self.outcomes if o.seconds}
        peak = peak_memory_gib()
        stages = list(dict.fromkeys(stage for seconds in per_case.values() for stage in seconds))
        return {
            "disclaimer": DISCLAIMER,
            "training_notice": training_notice(self.provenance),
            "started": self._started,
            "finished": finished,
            "device": self.options.device,
            "seed": self.options.seed,
            "arguments": None if self.options.arguments is None else list(self.options.arguments),
            "git_revision": git_revision(),
            "versions": versions(),
            "provenance": dict(self.provenance),
            "cases": counts,
            "peak_memory_gib": None if peak is None else round(peak, 2),
            "seconds_per_stage": {s: round(sum(c.get(s, 0.0) for c in per_case.values()), 3) for s in stages},
            "seconds_per_case": per_case,
        }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def summary_row(outcome: CaseOutcome) -> dict[str, Any]:
    """A case's row of `summary.csv`; empty where there is nothing to say."""
    found = outcome.diagnosis or {}
    kidneys, tumors = found.get("kidneys", []), found.get("tumors", [])
    skipped = outcome.status == "skipped" and "reason" in found
    return {
        "case": outcome.case.name,
        "status": outcome.status,
        "verdict": found.get("verdict", ""),
        "reason": f"{found['reason']} ({outcome.reason})" if skipped else outcome.reason or found.get("reason", ""),
        "mean_probability_malignant": found.get("mean_probability_malignant"),
        "slices": len(found["slices"]) if "slices" in found else "",
        "kidneys": len(kidneys) if found else "",
        "kidney_ml": round(sum(k["volume_ml"] for k in kidneys), 2) if found else "",
        "tumors": len(tumors) if found else "",
        "tumor_ml": round(sum(t["volume_ml"] for t in tumors), 2) if found else "",
        "largest_tumor_mm": max((t["largest_diameter_mm"] for t in tumors), default=""),
        "seconds": round(sum(outcome.seconds.values()), 2) if outcome.seconds else "",
        "path": outcome.case.path,
        "notice": " ".join(filter(None, (found.get("training_notice"), DISCLAIMER))),
    }
