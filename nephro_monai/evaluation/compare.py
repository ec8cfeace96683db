"""Whether one system is better than another: differences on the same cases, not two means."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from nephro_monai.constants import CLASS_NAMES, DISCLAIMER
from nephro_monai.errors import TrainingDataError
from nephro_monai.evaluation.bootstrap import mean_with_interval
from nephro_monai.evaluation.case_metrics import CaseMetrics
from nephro_monai.evaluation.evaluate import evaluate_cohort
from nephro_monai.io.atomic import atomic_path
from nephro_monai.reporting.evaluation_figures import draw_differences

__all__ = ["METRICS", "Comparison", "PairedMetric", "compare_predictions", "comparison_lines", "write_comparison"]

_DRAWN = ("kidney Dice", "tumor Dice", "composite", "tumor surface Dice")
_FEWEST = 6


def _absolute(value: float | None) -> float | None:
    return None if value is None else abs(value)


def _right(row: CaseMetrics) -> float | None:
    """1 for a right verdict, 0 for a wrong or open one; None where the truth is not known."""
    if row.malignant is None or not row.has_tumor:
        return None
    return float(row.verdict == CLASS_NAMES[bool(row.malignant)])


METRICS: dict[str, tuple[Callable[[CaseMetrics], float | None], bool]] = {
    "composite": (lambda row: row.composite, True),
    "kidney Dice": (lambda row: row.kidney_dice, True),
    "tumor Dice": (lambda row: row.tumor_dice, True),
    "tumor surface Dice": (lambda row: row.kits23_tumor_surface_dice, True),
    "kidney Hausdorff 95 %, mm": (lambda row: row.kidney_hausdorff95_mm, False),
    "tumor Hausdorff 95 %, mm": (lambda row: row.tumor_hausdorff95_mm, False),
    "tumor volume error, ml": (lambda row: _absolute(row.tumor_volume_error_ml), False),
    "right verdict": (_right, True),
}
"""How each metric is taken from a row, and whether more is better."""


@dataclass(frozen=True)
class PairedMetric:
    """One metric on the cases that have it on both sides.

    Attributes:
        name: A key of `METRICS`.
        n: Cases.
        mean_a: Mean of A.
        mean_b: Mean of B.
        difference: Mean of A minus B; None without a case.
        interval: Its 95 % bootstrap interval over cases; None for fewer than two cases.
        p: Two-sided: Wilcoxon's signed-rank test, for verdicts McNemar's exact test; None without a case.
        a_better: Cases in which A is better.
        b_better: Cases in which B is better.
        values: (A, B) by case.
    """

    name: str
    n: int
    mean_a: float | None
    mean_b: float | None
    difference: float | None
    interval: list[float] | None
    p: float | None
    a_better: int
    b_better: int
    values: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Comparison:
    """A against B.

    Attributes:
        names: Of A and B.
        metrics: By the order of `METRICS`.
        data: What the data are, in a sentence.
        notes: What is to be known of the cases, in sentences.
    """

    names: tuple[str, str]
    metrics: tuple[PairedMetric, ...]
    data: str
    notes: tuple[str, ...]


def compare_predictions(
    a: Path,
    b: Path,
    data: Path,
    only_both: bool = False,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Compares two folders of predictions of the same cases.

    A case that one side has not predicted scores 0 on that side, as in `evaluate_cohort`, and is named in a note.

    Args:
        a: Predictions in either layout.
        b: Others.
        data: Data folder in KiTS19's layout.
        only_both: Whether cases without a prediction on both sides are left out instead.
        workers: Cases compared at once.
        progress: Called with cases done and cases in all, for each side.

    Raises:
        TrainingDataError: If a folder holds nothing to compare, or no case is left.
    """
    sides, summaries = [], []
    for folder in (a, b):
        rows, summary = evaluate_cohort(folder, data, progress=progress, workers=workers)
        sides.append({row.case: row for row in rows if row.status != "unscored"})
        summaries.append(summary)
    predicted = [{name for name, row in side.items() if row.status == "done"} for side in sides]
    wanted = predicted[0] & predicted[1] if only_both else predicted[0] | predicted[1]
    cases = sorted(wanted & set(sides[0]) & set(sides[1]))
    if not cases:
        raise TrainingDataError(f"No case of {data} is predicted in {a} and in {b}; give runs over the same cases.")
    names = _names(a, b)
    notes = []
    for name, side in zip(names, predicted, strict=True):
        if absent := [case for case in cases if case not in side]:
            listed = ", ".join(absent[:3]) + (", ..." if len(absent) > 3 else "")
            notes.append(f"{name} has no usable prediction of {len(absent)} of {len(cases)} cases ({listed}): 0 there.")
    left_out = len((predicted[0] | predicted[1]) - set(cases))
    if left_out:
        notes.append(f"{left_out} cases are predicted on one side only and left out.")
    if len(cases) < _FEWEST:
        notes.append(f"{len(cases)} cases: Wilcoxon's test cannot fall below 0.05 with fewer than {_FEWEST}.")
    metrics = tuple(_paired(name, [(sides[0][case], sides[1][case]) for case in cases]) for name in METRICS)
    return Comparison(names, metrics, summaries[0]["data"]["description"], tuple(notes))


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Writes comparison.json, comparison.md, comparison.csv (a row per case and metric) and differences.png.

    Raises:
        OutputError: If a file cannot be written.
    """
    entries = {m.name: {k: v for k, v in vars(m).items() if k not in ("name", "values")} for m in comparison.metrics}
    content: dict[str, Any] = {
        "a": comparison.names[0], "b": comparison.names[1], "data": comparison.data, "disclaimer": DISCLAIMER,
        "metrics": entries, "notes": list(comparison.notes),
    }  # fmt: skip
    with atomic_path(folder / "comparison.json") as path:
        path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    with atomic_path(folder / "comparison.md") as path:
        path.write_text(_markdown(comparison), encoding="utf-8")
    with atomic_path(folder / "comparison.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["case", "metric", "a", "b", "difference"])
        for metric in comparison.metrics:
            writer.writerows([case, metric.name, x, y, x - y] for case, (x, y) in metric.values.items())
    drawn = {m.name: [x - y for x, y in m.values.values()] for m in comparison.metrics if m.name in _DRAWN and m.n}
    with atomic_path(folder / "differences.png") as path:
        draw_differences(drawn, path, comparison.names, f"{comparison.data} {DISCLAIMER}")


def comparison_lines(comparison: Comparison) -> list[tuple[str, ...]]:
    """Name, A, B, difference, interval, p, wins and n of each metric, for people."""
    lines: list[tuple[str, ...]] = []
    for m in comparison.metrics:
        if m.difference is None:
            lines.append((m.name, "n/a", "n/a", "n/a", "", "n/a", "", "0"))
            continue
        bounds = "" if m.interval is None else f"{m.interval[0]:+.3f} to {m.interval[1]:+.3f}"
        p = "n/a" if m.p is None else "< 0.001" if m.p < 0.001 else f"{m.p:.3f}"
        wins = f"{m.a_better} : {m.b_better}"
        lines.append((m.name, f"{m.mean_a:.3f}", f"{m.mean_b:.3f}", f"{m.difference:+.3f}", bounds, p, wins, str(m.n)))
    return lines


def _paired(name: str, pairs: Sequence[tuple[CaseMetrics, CaseMetrics]]) -> PairedMetric:
    take, more_is_better = METRICS[name]
    values = {}
    for row_a, row_b in pairs:
        if (x := take(row_a)) is not None and (y := take(row_b)) is not None:
            values[row_a.case] = (x, y)
    if not values:
        return PairedMetric(name, 0, None, None, None, None, None, 0, 0, {})
    table = np.array(list(values.values()), float)
    differences = table[:, 0] - table[:, 1]
    better = differences > 0 if more_is_better else differences < 0
    worse = differences < 0 if more_is_better else differences > 0
    mean = mean_with_interval(differences.tolist())
    return PairedMetric(
        name, len(values), float(table[:, 0].mean()), float(table[:, 1].mean()), mean["mean"], mean["interval"],
        _p_value(differences, name == "right verdict"), int(better.sum()), int(worse.sum()), values,
    )  # fmt: skip


def _p_value(differences: np.ndarray, binary: bool) -> float:
    """Wilcoxon's signed-rank test (differences of 0 count by Pratt's rule); McNemar's exact test of right and wrong."""
    if not differences.any():
        return 1.0
    if binary:
        return float(stats.binomtest(int((differences > 0).sum()), int(np.count_nonzero(differences))).pvalue)
    return float(stats.wilcoxon(differences, zero_method="pratt").pvalue)


def _names(a: Path, b: Path) -> tuple[str, str]:
    """As short as tells them apart."""
    first, second = a.resolve().parts, b.resolve().parts
    for depth in range(1, max(len(first), len(second)) + 1):
        names = "/".join(first[-depth:]), "/".join(second[-depth:])
        if names[0] != names[1]:
            return names
    return "A", "B (the same folder)"


def _markdown(comparison: Comparison) -> str:
    a, b = comparison.names
    lines = [f"# {a} against {b}", "", f"{comparison.data} {DISCLAIMER}", ""]
    lines += [f"| metric | {a} | {b} | difference | 95 % interval | p | better in | n |"]
    lines += ["|---|---:|---:|---:|---|---:|---|---:|"]
    lines += [f"| {' | '.join(line)} |" for line in comparison_lines(comparison)]
    lines += ["", *(f"- {note}" for note in comparison.notes)]
    lines += [
        "- Differences are per case; intervals are percentiles of bootstrap samples of cases; p is two-sided, of "
        "Wilcoxon's signed-rank test, for verdicts of McNemar's exact test, not corrected for the number of metrics.",
        "", "![Differences](differences.png)",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
