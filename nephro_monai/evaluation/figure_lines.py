"""The figures of a summary as lines for people."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["FigureLine", "figure_lines", "number"]


class FigureLine(NamedTuple):
    """A figure for people.

    Attributes:
        name: What it is.
        value: The figure.
        over: Of how many.
        interval: Its 95 % interval; empty where there is none.
    """

    name: str
    value: str
    over: str
    interval: str = ""


def figure_lines(summary: dict[str, Any]) -> list[FigureLine]:
    """The figures of a summary from `summarize`, the most important first."""
    lines = [
        _share("Both kidneys found", summary["both_kidneys_found"]),
        _mean("Kidney Dice", summary["kidney_dice"]),
        _mean("Tumor Dice, all cases", summary["tumor_dice"]),
        _mean("Tumor Dice, with a tumor", summary["tumor_dice_with_tumor"]),
        _mean("Composite", summary["composite"]),
        _share("Tumor found", summary["tumor_found"]),
    ]
    if (scores := summary["malignancy"]) is not None:
        lines += _patients(scores)
    if (free := summary["no_tumor"])["n"]:
        over = f"{free['with_false_tumor']} of {free['n']} cases, {free['with_false_verdict']} with a verdict"
        lines.append(FigureLine("False tumor, tumor-free", f"{free['mean_false_tumor_ml']:.1f} ml", over))
    for group in summary["by_diameter"]:
        value = f"Dice {number(group['tumor_dice'])}, found {_percent(group['tumor_found'])}"
        interval = _interval(group["tumor_dice_interval"])
        lines.append(FigureLine(f"Tumors of {group['group']}", value, f"n = {group['n']}", interval))
    if summary["seconds"]["n"]:
        lines.append(_mean("Seconds per case", summary["seconds"], digits=1))
    lines += [*_surfaces(summary), *_lesions(summary["lesions"])]
    if (slices := summary["slices"]) is not None and slices["n"]:
        lines += _scores("Slice ", slices, f"n = {slices['n']} of {slices['cases']} cases")
    return lines


def number(value: float | None, digits: int = 3) -> str:
    """A figure, or n/a where there is none."""
    return "n/a" if value is None else f"{value:.{digits}f}"


def _patients(scores: dict[str, Any]) -> list[FigureLine]:
    benign = scores["n"] - scores["n_malignant"]
    bounds = scores["intervals"]
    named = {
        "Balanced accuracy": ("balanced_accuracy", f"{scores['n_malignant']} malignant, {benign} benign"),
        "Sensitivity": ("sensitivity", f"n = {scores['n_malignant']}"),
        "Specificity": ("specificity", f"n = {benign}"),
    }
    lines = [FigureLine(n, number(scores[k]), over, _interval(bounds.get(k))) for n, (k, over) in named.items()]
    no_call = f"{scores['n_undetermined']} undetermined, {scores['n_missed']} missed"
    rate = _interval(bounds.get("undetermined_rate"), percent=True)
    lines.append(FigureLine("No call", _percent(scores["undetermined_rate"]), no_call, rate))
    calls = sum(row["benign"] + row["malignant"] for row in scores["confusion"].values())
    right = _interval(bounds.get("called_accuracy"))
    lines.append(FigureLine("Accuracy of the calls", number(scores["called_accuracy"]), f"n = {calls}", right))
    benign_calls = _interval(bounds.get("called_benign"))
    over = f"n = {scores['n_malignant']}"
    lines.append(FigureLine("Malignant called benign", number(scores["called_benign"]), over, benign_calls))
    auc = _interval(bounds.get("auc"))
    lines.append(FigureLine("AUC, probability", number(scores["auc"]), f"n = {scores['n_auc']}", auc))
    lines += _look_reader(scores["look_reader"])
    return lines + _scores("", scores, f"n = {scores['n']}", known=("balanced_accuracy", "auc"))


def _look_reader(reader: dict[str, Any] | None) -> list[FigureLine]:
    if reader is None:
        return []
    over = f"synthetic only, n = {reader['n']}"
    return [
        FigureLine("AUC, told the look", number(reader["auc"]), over, _interval(reader["interval"])),
        FigureLine("Share of it reached", number(reader["share_reached"]), over, _interval(reader["share_interval"])),
    ]


def _scores(prefix: str, scores: dict[str, Any], over: str, known: tuple[str, ...] = ()) -> list[FigureLine]:
    """The scores that patients and slices share, but those that are listed already."""
    named = {
        "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "ppv": "PPV", "npv": "NPV",
        "f1": "F1 malignant", "f1_benign": "F1 benign", "mcc": "MCC", "auc": "AUC", "ece": "ECE",
    }  # fmt: skip
    lines = []
    for key, name in named.items():
        if key not in known:
            text = prefix + name if prefix else name[0].upper() + name[1:]
            lines.append(FigureLine(text, number(scores[key]), over, _interval(scores["intervals"].get(key))))
    if not prefix and (always := scores["always_malignant"]):
        over = f"F1 {always['f1']:.3f}, the baseline"
        lines.append(FigureLine("Always malignant", f"accuracy {always['accuracy']:.3f}", over))
    return lines


def _surfaces(summary: dict[str, Any]) -> list[FigureLine]:
    lines = []
    for name, scores in summary["kits23"].items():
        short = name.split("_")[0]
        lines += [_mean(f"KiTS23 {short} Dice", scores["dice"]),
                  _mean(f"KiTS23 {short} surface", scores["surface_dice"])]  # fmt: skip
    for organ, entry in summary["hausdorff95_mm"].items():
        lines.append(_mean(f"Hausdorff 95 %, {organ}", entry, digits=1, unit=" mm"))
    for organ, entry in summary["volume_error_ml"].items():
        signed = number(entry["signed"]["mean"], 1)
        line = _mean(f"Volume error, {organ}", entry["absolute"], digits=1, unit=" ml")
        lines.append(line._replace(over=f"{line.over}, bias {signed} ml"))
    return lines


def _lesions(lesions: dict[str, Any]) -> list[FigureLine]:
    lines = []
    for key, over in (("recall", "found {found} of {true}"), ("precision", "right {right} of {predicted}")):
        bounds = _interval(lesions[f"{key}_interval"], percent=True)
        lines.append(FigureLine(f"Lesion {key}", _percent(lesions[key]), over.format(**lesions), bounds))
    if lesions["froc"] is not None:
        over = f"{number(lesions['false_per_case'], 2)} false per case"
        lines.append(FigureLine("Lesion FROC score", number(lesions["froc"]["score"]), over))
    for group in lesions["by_diameter"]:
        value = f"{_percent(group['recall'])} found, {_percent(group['precision'])} right"
        over = f"{group['true']} true, {group['predicted']} predicted"
        lines.append(FigureLine(f"Lesions, {group['group']}", value, over))
    return lines


def _mean(name: str, entry: dict[str, Any], digits: int = 3, unit: str = "") -> FigureLine:
    value = number(entry["mean"], digits) + (unit if entry["mean"] is not None else "")
    return FigureLine(name, value, f"n = {entry['n']}", _interval(entry["interval"], digits=digits))


def _share(name: str, entry: dict[str, Any]) -> FigureLine:
    bounds = _interval(entry["interval"], percent=True)
    return FigureLine(name, _percent(entry["share"]), f"n = {entry['n']}", bounds)


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:.0f} %"


def _interval(bounds: list[float] | None, percent: bool = False, digits: int = 3) -> str:
    if bounds is None:
        return ""
    texts = [f"{100 * b:.0f}" if percent else f"{b:.{min(digits, 2)}f}" for b in bounds]
    return " to ".join(texts) + (" %" if percent else "")
