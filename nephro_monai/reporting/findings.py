"""Words and numbers of a case for people: evidence, tables, notices, facts of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nephro_monai.constants import CLASS_NAMES, SYNTHETIC_NOTICE
from nephro_monai.reporting.case_view import CaseView
from nephro_monai.structures import Box, Calibration, SliceVote

__all__ = [
    "bundle_rows", "crop_cards", "evidence", "fact_rows", "kidney_rows", "probability_dots", "second_rows",
    "training_notices", "tumor_rows",
]  # fmt: skip

_MALIGNANT = CLASS_NAMES.index("malignant")


def training_notices(provenance: Mapping[str, Any] | None) -> list[str]:
    """What the networks were trained on, one sentence each.

    Args:
        provenance: By stage, mappings with "bundle" and "trained_on", as the engine makes them. Without any, the
            notice for the networks that come with the package.
    """
    networks = _networks(provenance)
    if not networks:
        return [SYNTHETIC_NOTICE]
    synthetic = [str(n.get("bundle", stage)) for stage, n in networks.items() if _is_synthetic(n)]
    others = [f"{n.get('bundle', stage)}: {n.get('trained_on') or 'not known'}"
              for stage, n in networks.items() if not _is_synthetic(n)]  # fmt: skip
    if not others:
        return [SYNTHETIC_NOTICE]
    notices = [f"Trained on synthetic CT only: {', '.join(synthetic)}."] if synthetic else []
    return [*notices, f"What other networks were trained on: {'; '.join(others)}."]


def evidence(view: CaseView) -> dict[str, Any]:
    """The evidence behind the verdict: probabilities, votes per class with their share, agreement."""
    diagnosis = view.diagnosis
    votes = {name: int(diagnosis.votes.get(name, 0)) for name in CLASS_NAMES}
    total = sum(votes.values())
    return {
        "mean": diagnosis.mean_probability_malignant,
        "probability": diagnosis.probability_malignant,
        "calibration": diagnosis.calibration,
        "agreement": diagnosis.agreement,
        "total": total,
        "votes": [
            {"name": n, "count": c, "percent": round(100 * c / total, 1) if total else 0} for n, c in votes.items()
        ],
    }


def kidney_rows(view: CaseView) -> list[dict[str, str]]:
    """One row per outlined kidney."""
    return [
        {"side": k.side, "volume": f"{k.volume_ml:.1f}", "center": _point(k.center_mm), "box": _box(k.box)}
        for k in view.kidneys
    ]


def tumor_rows(view: CaseView) -> list[dict[str, str]]:
    """One row per outlined tumor, with its own verdict."""
    verdicts = {vote.tumor: vote for vote in view.diagnosis.tumors}
    rows = []
    for tumor in view.tumors:
        vote = verdicts.get(tumor.index)
        rows.append({
            "name": f"T{tumor.index}", "side": tumor.side, "volume": f"{tumor.volume_ml:.1f}",
            "diameter": f"{tumor.largest_diameter_mm:.0f}", "center": _point(tumor.center_mm),
            "verdict": vote.verdict if vote else "undetermined",
            "reason": vote.reason if vote else "No slice of this tumor was classified.",
            "votes": ", ".join(f"{c} {n}" for n, c in vote.votes.items()) if vote else "",
            "mean": f"{vote.mean_probability_malignant:.2f}"
            if vote and vote.mean_probability_malignant is not None else "",
        })  # fmt: skip
    return rows


def probability_dots(view: CaseView) -> dict[str, Any]:
    """Probability of "malignant" against position, in percent of the chart's width and height, per slice."""
    voted = [vote for vote in view.votes if vote.probabilities is not None]
    if not voted:
        return {"dots": [], "from_mm": 0.0, "to_mm": 0.0}
    low, high = min(v.position_mm for v in voted), max(v.position_mm for v in voted)
    span = max(high - low, 1e-6)
    dots = [
        {
            "x": round(100 * (v.position_mm - low) / span if high > low else 50.0, 1),
            "y": round(100 * (1 - _probability(v)), 1), "vote": v.vote, "z": v.slice_index,
            "title": f"T{v.tumor}, z {v.position_mm:.1f} mm: {v.vote}, p(malignant) {_probability(v):.2f}",
        }
        for v in voted
    ]  # fmt: skip
    return {"dots": dots, "from_mm": low, "to_mm": high}


def crop_cards(view: CaseView, shown: list[int]) -> list[dict[str, Any]]:
    """Captions of the slices with these places in `view.votes`."""
    cards = []
    for place in shown:
        vote = view.votes[place]
        probability = None if vote.probabilities is None else _probability(vote)
        cards.append({
            "place": place, "tumor": f"T{vote.tumor}", "z": vote.slice_index, "native": vote.native_slice_index,
            "mm": f"{vote.position_mm:.1f}", "area": f"{vote.area_mm2 / 100:.1f}",
            "vote": vote.vote or "not classified", "probability": probability,
        })  # fmt: skip
    return cards


def fact_rows(view: CaseView) -> list[tuple[str, str]]:
    """How the scan was read and the kidneys found."""
    scan, places = view.scan, view.localization
    rows = [
        ("Scan", scan.path.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]),
        ("Format", scan.format),
        ("Grid of the file", f"{' x '.join(map(str, scan.native_shape))} voxels, axes {scan.native_axcodes}"),
        ("Voxel size", f"{' x '.join(f'{s:.3g}' for s in view.spacing_mm)} mm (right, anterior, superior)"),
    ]
    rows += [("Note of the reader", note) for note in scan.notes]
    if places:
        answer = "fallback to the whole body" if places.get("fallback") else f"{len(view.boxes)} kidney box(es)"
        detections = f" from {places['detections']} detections" if places.get("detections") else ""
        rows.append(("Localization", answer + detections))
    if places.get("note"):
        rows.append(("Note of the localizer", str(places["note"])))
    if view.diagnosis.calibration is not None:
        rows.append(("Calibration", _calibration(view.diagnosis.calibration)))
    if models := view.diagnosis.models:
        votes = ", ".join(f"{m.model}: {m.vote} ({m.probability_malignant:.2f})" for m in models)
        rows.append(("Votes of the models", f"{votes}; in brackets the probability of malignant"))
    return rows


def _calibration(calibration: Calibration) -> str:
    """What the verdict was calibrated with, in words."""
    c = calibration
    text = f"temperature {c.temperature:.2f}, benign below {c.benign_below:.2f}, malignant from {c.malignant_from:.2f}"
    if c.patients is not None:
        text += f", fitted on {c.patients} patients kept out of training"
    if c.sensitivity is not None:
        text += f", so that at least {c.sensitivity:.0%} of malignant tumors are not called benign"
    return text


def bundle_rows(provenance: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """Bundle, version, weights and their checksum per stage."""
    return [
        {
            "stage": stage, "bundle": str(n.get("bundle", "")), "version": str(n.get("version", "")),
            "weights": str(n.get("weights", "")), "sha256": str(n.get("sha256", "")),
            "trained_on": str(n.get("trained_on", "not known")),
        }
        for stage, n in _networks(provenance).items()
    ]  # fmt: skip


def second_rows(view: CaseView) -> list[dict[str, Any]]:
    """Seconds per stage with their share of the longest one."""
    longest = max(view.seconds.values(), default=0.0) or 1.0
    return [
        {"stage": stage, "seconds": f"{s:.2f}", "percent": round(100 * s / longest, 1)}
        for stage, s in view.seconds.items()
    ]


def _networks(provenance: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    return {stage: entry for stage, entry in (provenance or {}).items() if isinstance(entry, Mapping)}


def _is_synthetic(network: Mapping[str, Any]) -> bool:
    return "synthetic" in str(network.get("trained_on", "")).lower()


def _probability(vote: SliceVote) -> float:
    return float(vote.probabilities[_MALIGNANT]) if vote.probabilities is not None else float("nan")


def _point(center_mm: tuple[float, float, float]) -> str:
    return ", ".join(f"{c:.0f}" for c in center_mm)


def _box(box: Box) -> str:
    ranges = (("x", box.xmin, box.xmax), ("y", box.ymin, box.ymax), ("z", box.zmin, box.zmax))
    return ", ".join(f"{axis} {low}-{high - 1}" for axis, low, high in ranges)
