"""The verdict of several patient-level models (Zhou 2019, "Evaluation Methods")."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from nephro_monai.constants import CLASS_NAMES
from nephro_monai.metrics.verdict_calibration import pooled_log_odds
from nephro_monai.structures import Calibration, Diagnosis, ModelVote, Verdict
from nephro_monai.transforms.vote import calibrated_reason, no_verdict_without_kidney

__all__ = ["VoteModelsd", "vote_models"]

_BENIGN, _MALIGNANT = CLASS_NAMES


class VoteModelsd(MapTransform):
    """Replaces the patient's verdict by the vote of the patient-level models; the slices' votes stay as evidence.

    The majority decides (3 of the paper's 5 fold models); a tie is undetermined. Without any model's vote (no tumor,
    or no tumor slice) the diagnosis stays as it was. With a `calibration` its limits decide instead of the majority, on
    the mean log-odds of the models divided by the temperature. Where no kidney was outlined, the verdict is
    undetermined.

    Reads `model_votes` (from `ClassifyPatientd`). Changes:
        diagnosis: verdict, reason, `mean_probability_malignant` (over the models), `agreement` (share of slices that
            vote like the verdict) and `models`.
    """

    def __init__(
        self,
        keys: KeysCollection = "diagnosis",
        models_key: str = "model_votes",
        calibration: Calibration | None = None,
    ) -> None:
        """Sets where to read.

        Args:
            keys: Where the `structures.Diagnosis` of `VoteMalignancyd` is (one key).
            models_key: Where the models' votes are.
            calibration: Temperature and limits; None lets the majority decide.

        Raises:
            ValueError: If more than one key is given.
        """
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"VoteModelsd changes one diagnosis per case, got the keys {self.keys}.")
        self.models_key = models_key
        self.calibration = calibration

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns the case with its new diagnosis."""
        case = dict(data)
        diagnosis = vote_models(case[self.keys[0]], case[self.models_key], self.calibration)
        case[self.keys[0]] = no_verdict_without_kidney(diagnosis, case)
        return case


def vote_models(diagnosis: Diagnosis, models: Sequence[ModelVote], calibration: Calibration | None = None) -> Diagnosis:
    """The patient's verdict by the rules of `VoteModelsd`.

    Args:
        diagnosis: From the slices.
        models: Votes of the patient-level models.
        calibration: Temperature and limits; None lets the majority decide.
    """
    if not models:
        return diagnosis
    counts = Counter(vote.vote for vote in models)
    verdict: Verdict = "undetermined"
    log_odds = pooled_log_odds([vote.probability_malignant for vote in models])
    probability = None if calibration is None or log_odds is None else calibration.probability(log_odds)
    if calibration is not None and probability is not None:
        verdict, reason = calibration.verdict(probability), calibrated_reason(probability, calibration)
    elif counts[_MALIGNANT] == counts[_BENIGN]:
        reason = f"Tie: {counts[_MALIGNANT]} of {len(models)} patient-level models say malignant, as many benign."
    else:
        verdict = "malignant" if counts[_MALIGNANT] > counts[_BENIGN] else "benign"
        reason = f"{counts[verdict]} of {len(models)} patient-level models say {verdict}."
    total = sum(diagnosis.votes.values())
    return replace(
        diagnosis,
        verdict=verdict,
        reason=reason,
        mean_probability_malignant=sum(sorted(vote.probability_malignant for vote in models)) / len(models),
        agreement=diagnosis.votes.get(verdict, 0) / total if total and verdict != "undetermined" else None,
        models=tuple(models),
        probability_malignant=probability,
        calibration=calibration,
    )
