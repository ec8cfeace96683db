"""One diagnosis from those of several folds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from nephro_monai.constants import CLASS_NAMES, SLICE_CLASS_NAMES
from nephro_monai.structures import Box, Diagnosis, ModelVote, SliceVote, Tumor, Verdict
from nephro_monai.transforms.vote import NO_TUMOR, no_verdict_without_kidney, vote_patient

__all__ = ["VoteFoldsd", "join_votes", "vote_folds"]

_BENIGN, _MALIGNANT = CLASS_NAMES
_PICTURES = ("tumor_slices", "colorized_slices")


class VoteFoldsd(MapTransform):
    """Lets the folds' verdicts vote: more than half of all folds must say the same, else the answer is undetermined.

    The evidence is joined: each fold's slices go to the tumor of the common label map that their own tumor overlaps
    most, and a slice that several folds classified has their mean probabilities. Slices of tumors that the common label
    map does not have are left out.

    No kidney in the common label map: undetermined, whatever the folds say.

    Reads `fold_cases` (from `RunFoldsd`), `tumors` and `kidney_findings` (of the common label map); takes `fold_cases`
    away. Adds:
        slice_votes, tumor_slices, colorized_slices: One per joined slice, pictures where the folds have some.
        diagnosis: `structures.Diagnosis` with the folds' verdicts as `models`; `mean_probability_malignant` is the
            mean over the folds, of calibrated probabilities where they are calibrated.
    """

    def __init__(self, keys: KeysCollection = "fold_cases", tumors_key: str = "tumors") -> None:
        """Sets where to read.

        Args:
            keys: Where the folds' case dictionaries are (one key).
            tumors_key: Where the tumors are, in them and in the case.

        Raises:
            ValueError: If more than one key is given.
        """
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"VoteFoldsd reads one list of cases, got the keys {self.keys}.")
        self.tumors_key = tumors_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns the case with the common diagnosis."""
        case = dict(data)
        folds = case.pop(self.keys[0])
        tumors: Sequence[Tumor] = case[self.tumors_key]
        listed = [
            (replace(vote, tumor=index), fold, place)
            for fold in folds
            for place, vote in enumerate(fold.get("slice_votes", ()))
            if (index := _same_tumor(vote.tumor, fold[self.tumors_key], tumors)) is not None
        ]
        groups: dict[tuple[int, int], list[tuple[SliceVote, Mapping[Hashable, Any], int]]] = {}
        for vote, fold, place in sorted(listed, key=lambda entry: (entry[0].tumor, entry[0].slice_index)):
            groups.setdefault((vote.tumor, vote.slice_index), []).append((vote, fold, place))
        votes = [join_votes([vote for vote, _, _ in group]) for group in groups.values()]
        case["slice_votes"] = votes
        for key in _PICTURES:
            if all(key in fold for fold in folds):
                empty = folds[0][key][:0]
                pictures = [group[0][1][key][group[0][2]] for group in groups.values()]
                case[key] = torch.stack(pictures) if pictures else empty
        diagnosis = vote_folds([fold["diagnosis"] for fold in folds], [t.index for t in tumors], votes)
        case["diagnosis"] = no_verdict_without_kidney(diagnosis, case)
        return case


def vote_folds(diagnoses: Sequence[Diagnosis], tumors: Sequence[int], slices: Sequence[SliceVote]) -> Diagnosis:
    """The patient's verdict by the rules of `VoteFoldsd`.

    Args:
        diagnoses: One per fold.
        tumors: Index of every tumor of the common label map.
        slices: Joined votes of all their slices.
    """
    silent = {vote.tumor for d in diagnoses for vote in d.tumors if not vote.has_say}
    heard = {vote.tumor for d in diagnoses for vote in d.tumors if vote.has_say}
    evidence = vote_patient(tumors, slices, passed_over=silent - heard)
    counts: Counter[str] = Counter(diagnosis.verdict for diagnosis in diagnoses)
    probabilities = [
        d.mean_probability_malignant if d.probability_malignant is None else d.probability_malignant for d in diagnoses
    ]
    models = tuple(
        ModelVote(f"fold {index}", probability, diagnosis.verdict)
        for index, (diagnosis, probability) in enumerate(zip(diagnoses, probabilities, strict=True))
        if probability is not None
    )
    if not tumors or not models:
        reason = "No tumor was found by most folds." if not tumors else _why_unclassified(diagnoses)
        return replace(evidence, verdict="undetermined", reason=reason, agreement=None, models=models)
    said = ", ".join(f"{counts[name]} {name}" for name in (_MALIGNANT, _BENIGN, "undetermined") if counts[name])
    verdict: Verdict = "undetermined"
    reason = f"No majority of the {len(diagnoses)} folds: {said}."
    for name in CLASS_NAMES:
        if 2 * counts[name] > len(diagnoses):
            verdict, reason = name, f"{counts[name]} of {len(diagnoses)} folds say {name}."  # type: ignore[assignment]
    total = sum(evidence.votes.values())
    return replace(
        evidence, verdict=verdict, reason=reason, models=models,
        mean_probability_malignant=sum(sorted(m.probability_malignant for m in models)) / len(models),
        agreement=evidence.votes.get(verdict, 0) / total if total and verdict != "undetermined" else None,
    )  # fmt: skip


def join_votes(votes: Sequence[SliceVote]) -> SliceVote:
    """One vote on a slice from those of several folds: the mean of their probabilities; the area of the first."""
    known = [vote.probabilities for vote in votes if vote.probabilities is not None]
    if not known:
        return votes[0]
    mean = tuple(sum(sorted(values)) / len(known) for values in zip(*known, strict=True))
    names = CLASS_NAMES if len(mean) == len(CLASS_NAMES) else SLICE_CLASS_NAMES
    return replace(votes[0], probabilities=mean, vote=names[max(range(len(mean)), key=mean.__getitem__)])


def _why_unclassified(diagnoses: Sequence[Diagnosis]) -> str:
    """The folds' common reason; where they differ, or deny the tumor that the common label map has, who says what."""
    folds: dict[str, list[str]] = {}
    for index, diagnosis in enumerate(diagnoses):
        folds.setdefault(diagnosis.reason, []).append(str(index))
    if len(folds) == 1 and NO_TUMOR not in folds:
        return diagnoses[0].reason
    said = " ".join(f"Fold{'s' * (len(who) > 1)} {', '.join(who)}: {reason}" for reason, who in folds.items())
    return f"Not classified: no fold classified a tumor. {said}"


def _same_tumor(index: int, own: Sequence[Tumor], common: Sequence[Tumor]) -> int | None:
    """The common tumor that a fold's tumor overlaps most; None if it overlaps none."""
    box = next(tumor.box for tumor in own if tumor.index == index)
    overlaps = {tumor.index: _overlap(box, tumor.box) for tumor in common}
    best = max(overlaps, key=overlaps.__getitem__, default=None)
    return best if best is not None and overlaps[best] > 0 else None


def _overlap(a: Box, b: Box) -> int:
    """Voxels that are in both boxes."""
    voxels = 1
    for mine, other in zip(a.slices, b.slices, strict=True):
        voxels *= max(0, min(mine.stop, other.stop) - max(mine.start, other.start))
    return voxels
