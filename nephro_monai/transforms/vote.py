"""From slices to tumors to the patient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from nephro_monai.constants import CLASS_NAMES
from nephro_monai.metrics.verdict_calibration import pooled_log_odds
from nephro_monai.structures import Calibration, Diagnosis, SliceVote, TumorVote, Verdict

__all__ = [
    "NO_KIDNEY", "NO_TUMOR", "TUMOR_WITHOUT_KIDNEY", "VoteMalignancyd", "calibrated_reason",
    "no_verdict_without_kidney", "vote_patient", "vote_tumor",
]  # fmt: skip

NO_TUMOR = "No tumor was found."
"""Reason of a patient without a tumor."""

NO_KIDNEY = "No kidney was found, and no tumor: is this a CT of the abdomen?"
"""Reason where nothing at all was outlined."""

TUMOR_WITHOUT_KIDNEY = "A tumor was outlined but no kidney: what was outlined may be none. Is this a CT of the abdomen?"
"""Reason where no outlined region holds enough kidney to be one."""

_BENIGN, _MALIGNANT = CLASS_NAMES


class VoteMalignancyd(MapTransform):
    """Lets the slices vote, first for each tumor, then for the patient (announced as next step by ColorNephroNet).

    A tumor, from the slices that were classified as benign or malignant:
      - fewer than `min_slices`: undetermined (thin evidence);
      - as many for one as for the other: undetermined (tie);
      - the larger side has less than `min_agreement` of the votes: undetermined (narrow majority);
      - else the majority decides.

    A tumor of less than `least_share` of the largest one's volume is voted on but has no say for the patient: beside a
    large tumor, small pieces are more often false than tumors of their own, and one of them would outvote it.

    The patient, by the tumors that have a say:
      - no kidney was outlined: undetermined, whatever the slices say, since what was outlined may be no kidney tumor;
      - no tumor: undetermined, "No tumor was found.";
      - no slice classified: undetermined, "Not classified: ...";
      - any malignant tumor: malignant;
      - else any undetermined tumor: undetermined (a benign tumor does not rule out that the other is malignant);
      - else benign.

    Votes, `agreement` (the share of slices that vote like the verdict) and `mean_probability_malignant` are those of
    the slices of the tumors that have a say; the mean is reported and decides nothing. The same slices give the same
    answer in any order.

    With a `calibration` its limits decide for a tumor instead of the majority: the mean log-odds of its slices, divided
    by the temperature, give its probability; the patient's is that of the tumor that is most probably malignant.
    Fewer than `min_slices` are thin evidence as before; `min_agreement` is not used.

    Reads `slice_votes`, `tumors` and, where they were measured, `kidney_findings`. Adds to the case dictionary:
        diagnosis: `structures.Diagnosis`.
    """

    def __init__(
        self,
        keys: KeysCollection = "slice_votes",
        tumors_key: str = "tumors",
        output_key: str = "diagnosis",
        min_slices: int = 2,
        min_agreement: float = 0.55,
        calibration: Calibration | None = None,
        least_share: float = 0.0,
    ) -> None:
        """Sets what counts as evidence.

        Args:
            keys: Where the slice votes are (one key).
            tumors_key: Where the tumors are.
            output_key: Where the diagnosis goes.
            min_slices: Fewest slices that decide for a tumor.
            min_agreement: Smallest share of the larger side, 0.5 to 1.
            calibration: Temperature and limits; None lets the majority decide.
            least_share: Volume of the smallest tumor that has a say, as a share of the largest one's, 0 to 1.

        Raises:
            ValueError: If more than one key is given or a limit is out of range.
        """
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"VoteMalignancyd reads one list of votes per case, got the keys {self.keys}.")
        if min_slices < 1 or not 0.5 <= min_agreement <= 1:
            raise ValueError(
                f"min_slices must be at least 1 and min_agreement in 0.5..1, got {min_slices} and {min_agreement}."
            )
        if not 0 <= least_share <= 1:
            raise ValueError(f"least_share must lie in 0..1, got {least_share}.")
        self.tumors_key = tumors_key
        self.output_key = output_key
        self.min_slices = min_slices
        self.min_agreement = min_agreement
        self.calibration = calibration
        self.least_share = least_share

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns the case with its diagnosis."""
        case = dict(data)
        slices = case.get(self.keys[0], [])
        tumors = case[self.tumors_key]
        least = self.least_share * max((tumor.volume_ml for tumor in tumors), default=0.0)
        small = {tumor.index for tumor in tumors if tumor.volume_ml < least}
        indices = [tumor.index for tumor in tumors]
        limits = (self.min_slices, self.min_agreement, self.calibration)
        diagnosis = vote_patient(indices, slices, *limits, passed_over=small)
        case[self.output_key] = no_verdict_without_kidney(diagnosis, case)
        return case


def no_verdict_without_kidney(diagnosis: Diagnosis, case: Mapping[Hashable, Any]) -> Diagnosis:
    """The diagnosis, but undetermined where kidneys were measured (`kidney_findings`) and there was none.

    So are its tumors. Votes and probabilities stay, as the evidence that was not enough.

    Args:
        diagnosis: By the rules of a voter.
        case: The case dictionary; without `kidney_findings` nothing changes.
    """
    if case.get("kidney_findings") != []:
        return diagnosis
    reason = TUMOR_WITHOUT_KIDNEY if diagnosis.tumors else NO_KIDNEY
    tumors = tuple(replace(vote, verdict="undetermined", reason=reason, agreement=None) for vote in diagnosis.tumors)
    return replace(diagnosis, verdict="undetermined", reason=reason, agreement=None, tumors=tumors)


def vote_patient(
    tumors: Sequence[int],
    slices: Sequence[SliceVote],
    min_slices: int = 2,
    min_agreement: float = 0.55,
    calibration: Calibration | None = None,
    passed_over: Collection[int] = (),
) -> Diagnosis:
    """The patient's verdict by the rules of `VoteMalignancyd`.

    Args:
        tumors: Index of every tumor.
        slices: Votes of all their slices.
        min_slices: Fewest slices that decide for a tumor.
        min_agreement: Smallest share of the larger side.
        calibration: Temperature and limits; None lets the majority decide.
        passed_over: Tumors that are voted on but have no say for the patient.

    Raises:
        ValueError: If all tumors are passed over.
    """
    if not tumors:
        return Diagnosis("undetermined", NO_TUMOR, slices=tuple(slices))
    verdicts = tuple(
        vote_tumor(index, [vote for vote in slices if vote.tumor == index], min_slices, min_agreement, calibration)
        for index in tumors
    )
    verdicts = tuple(_without_say(vote) if vote.tumor in passed_over else vote for vote in verdicts)
    heard = tuple(vote for vote in verdicts if vote.has_say)
    if not heard:
        raise ValueError(f"All tumors {list(tumors)} are passed over; at least one must have a say.")
    counted = [vote for vote in slices if vote.tumor not in passed_over]
    votes = _counted(counted)
    verdict, reason = _decide(heard, counted, len(tumors))
    total = sum(votes.values())
    agreement = votes[verdict] / total if total and verdict in votes else None
    known = [tumor.probability_malignant for tumor in heard if tumor.probability_malignant is not None]
    return Diagnosis(
        verdict, reason, _mean_malignant(counted), votes, agreement, verdicts, tuple(slices),
        probability_malignant=max(known, default=None), calibration=calibration if known else None,
    )  # fmt: skip


def vote_tumor(
    tumor: int,
    slices: Sequence[SliceVote],
    min_slices: int = 2,
    min_agreement: float = 0.55,
    calibration: Calibration | None = None,
) -> TumorVote:
    """One tumor's verdict by the rules of `VoteMalignancyd`, from its own slices."""
    votes = _counted(slices)
    total = sum(votes.values())
    mean = _mean_malignant(slices)
    winner: Verdict = "malignant" if votes[_MALIGNANT] > votes[_BENIGN] else "benign"
    won = votes[winner]
    verdict: Verdict = "undetermined"
    log_odds = None if calibration is None else pooled_log_odds(_malignant_shares(slices))
    probability = None if calibration is None or log_odds is None else calibration.probability(log_odds)
    if total == 0 and any(vote.vote for vote in slices):
        reason = f"Not classified: none of its {len(slices)} slices was judged to hold tumor."
    elif total == 0:
        reason = "Not classified: no slice of this tumor was classified."
    elif total < min_slices:
        reason = f"Thin evidence: {total} slice{'s' * (total > 1)} voted, at least {min_slices} must."
    elif calibration is not None and probability is not None:
        verdict = calibration.verdict(probability)
        won = votes.get(verdict, 0)
        reason = calibrated_reason(probability, calibration)
    elif 2 * won == total:
        reason = f"Tie: {won} of {total} slices say malignant, {won} benign."
    elif won / total < min_agreement:
        reason = f"Narrow majority: {won} of {total} slices say {winner}, at least {min_agreement:.0%} must."
    else:
        verdict = winner
        reason = f"{won} of {total} slices say {winner}."
    agreement = won / total if verdict != "undetermined" else None
    return TumorVote(tumor, verdict, reason, mean, votes, agreement, probability)


def _without_say(vote: TumorVote) -> TumorVote:
    return replace(vote, has_say=False, reason=f"Small beside the largest tumor, no say for the patient. {vote.reason}")


def calibrated_reason(probability: float, calibration: Calibration) -> str:
    """Why a calibrated probability means what it means, in a sentence."""
    low, high = f"{calibration.benign_below:.2f}", f"{calibration.malignant_from:.2f}"
    verdict = calibration.verdict(probability)
    limits = {
        "malignant": f"malignant from {high}",
        "benign": f"benign below {low}",
        "undetermined": f"between {low} and {high}, where no call is made",
    }
    return f"Calibrated probability of malignant {probability:.2f}: {limits[verdict]}."


def _decide(tumors: Sequence[TumorVote], slices: Sequence[SliceVote], outlined: int) -> tuple[Verdict, str]:
    if not any(vote.vote for vote in slices):
        what = "no tumor slice was cut" if not slices else "this system has no classifier"
        return "undetermined", f"Not classified: {what}."
    malignant = [vote for vote in tumors if vote.verdict == "malignant"]
    open_ones = [vote for vote in tumors if vote.verdict == "undetermined"]
    if malignant:
        first = malignant[0]
        if outlined == 1:
            return "malignant", f"The tumor: {first.reason}"
        return "malignant", f"{len(malignant)} of {outlined} tumors malignant; tumor {first.tumor}: {first.reason}"
    if open_ones:
        first = open_ones[0]
        name = "The tumor" if outlined == 1 else f"Tumor {first.tumor} of {outlined}"
        return "undetermined", f"{name}: {first.reason}"
    if outlined == 1:
        return "benign", f"The tumor: {tumors[0].reason}"
    which = f"All {outlined} tumors" if len(tumors) == outlined else f"{len(tumors)} of {outlined} tumors"
    return "benign", f"{which} benign; tumor {tumors[0].tumor}: {tumors[0].reason}"


def _counted(slices: Sequence[SliceVote]) -> dict[str, int]:
    """Votes per class, in the order of the classes; other answers (as "normal" of other systems) do not count."""
    counts = Counter(vote.vote for vote in slices)
    return {name: counts[name] for name in CLASS_NAMES}


def _mean_malignant(slices: Sequence[SliceVote]) -> float | None:
    """Mean over the slices that may vote."""
    values = _malignant_shares(slices)
    return sum(sorted(values)) / len(values) if values else None


def _malignant_shares(slices: Sequence[SliceVote]) -> list[float]:
    """Of the slices that may vote; what a third class ("normal") takes does not speak for benign."""
    benign, malignant = range(len(CLASS_NAMES))
    values = []
    for vote in slices:
        if vote.probabilities is not None and vote.vote in (None, *CLASS_NAMES):
            p = vote.probabilities
            share = p[malignant] if len(p) == len(CLASS_NAMES) else p[malignant] / (p[benign] + p[malignant])
            values.append(share)
    return values
