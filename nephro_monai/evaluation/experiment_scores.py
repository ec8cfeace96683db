"""What a trained row says of the cases that were held out: one record per case."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nephro_monai.constants import CLASS_NAMES, KIDNEY, SLICE_CLASS_NAMES, TUMOR
from nephro_monai.data import list_training_cases
from nephro_monai.engine.bundles import instantiate, read_configs
from nephro_monai.engine.cascade import cascade_parser
from nephro_monai.engine.environment import resolve_device
from nephro_monai.engine.weights import load_weights
from nephro_monai.errors import BundleError, WeightsError
from nephro_monai.evaluation.evaluate import evaluate_cohort
from nephro_monai.evaluation.experiment_rounds import Round
from nephro_monai.evaluation.experiment_trainings import ExperimentOptions, TrainedRun
from nephro_monai.io.atomic import atomic_path
from nephro_monai.metrics.detection import match_counts
from nephro_monai.metrics.dice import dice_from_counts, label_counts
from nephro_monai.networks.two_step_head import network_outputs
from nephro_monai.stages.feature_classifier import FeatureClassifier

__all__ = ["SCORERS", "Scoring", "score_row"]

Record = dict[str, Any]
_DICE = ("kidney_dice", "tumor_dice")


@dataclass(frozen=True)
class Scoring:
    """A trained row before its held-out cases.

    Attributes:
        score: The scorer and its settings, from the experiment's file.
        turn: Split and seed.
        options: Of the experiment.
        runs: The row's trainings, by name, in their order.
        folder: For what the scorer writes.
    """

    score: Mapping[str, Any]
    turn: Round
    options: ExperimentOptions
    runs: Mapping[str, TrainedRun]
    folder: Path

    @property
    def run(self) -> TrainedRun:
        """The row's last training."""
        return list(self.runs.values())[-1]

    @property
    def device(self) -> torch.device:
        """Where the networks run."""
        return resolve_device(self.options.device)

    def training_parser(self, overrides: Mapping[str, Any] | None = None) -> Any:
        """The last training's configuration, without bars and validation workers."""
        values = {
            "dataset_dir": str(self.options.data), "output_dir": str(self.folder), "progress": False,
            "device": f"$torch.device('{self.device}')", **self.score.get("set", {}), **(overrides or {}),
        }  # fmt: skip
        run = self.run
        return read_configs(run.training.bundle, ("train.json", *run.configs("training")), values)

    def trained(self, parser: Any) -> torch.nn.Module:
        """The `network_def` of a training's configuration with the trained weights, in evaluation mode."""
        network: torch.nn.Module = instantiate(parser, "network_def")
        load_weights(network, Path(self.run.weights))
        return network.eval().to(self.device)


def score_row(scoring: Scoring) -> list[Record]:
    """Records of the held-out cases by the scorer that the row names.

    Raises:
        BundleError: If there is no such scorer.
    """
    kind = scoring.score.get("kind", "")
    if kind not in SCORERS:
        raise BundleError(f"There is no scorer {kind!r}; the kinds are {', '.join(SCORERS)}.")
    return list(SCORERS[kind](scoring))


def _tumor_slices(scoring: Scoring) -> list[Record]:
    """Runs the bundle's own inference.json on the tumor slices, or patients ("items"), of the held-out cases."""
    run = scoring.run
    settings = {
        "slices#cases": list(scoring.turn.held_out), "weights": run.weights, "output_dir": str(scoring.folder),
        "device_name": str(scoring.device), **scoring.score.get("set", {}),
    }  # fmt: skip
    scoring.folder.mkdir(parents=True, exist_ok=True)
    parser = read_configs(run.training.bundle, ("inference.json", *run.configs("inference")), settings)
    instantiate(parser, "run")
    with (scoring.folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        answers = {row[0]: float(row[2]) for row in csv.reader(file)}
    items = instantiate(parser, scoring.score.get("items", "slices"))
    return _by_case(
        (item["case"], item["label"], _slice(answers[item["meta"]["filename_or_obj"]], item.get("largest", True)))
        for item in items
    )


def _slice(probability: float, largest: bool = True, verdict: str | None = None) -> Record:
    """One answer; a probability of one half is malignant, as the fold models have it."""
    return {
        "probability": probability, "largest": bool(largest), "verdict": verdict or CLASS_NAMES[probability >= 0.5],
    }  # fmt: skip


def _by_case(answers: Any) -> list[Record]:
    """(case, label, answer) as one record per case of known malignancy."""
    found: dict[str, Record] = {}
    for case, label, answer in answers:
        if label in (0, 1):
            found.setdefault(case, {"case": case, "malignant": bool(label), "slices": []})["slices"].append(answer)
    return list(found.values())


@torch.inference_mode()
def _unseen(scoring: Scoring) -> list[Record]:
    """Zhou's validation: each training item is answered by the fold model that has not seen its patient."""
    parser = scoring.training_parser()
    scoring.trained(parser)  # the module below holds the same network
    module = instantiate(parser, "module").eval().to(scoring.device)
    answers = []
    for batch in instantiate(parser, "validate#dataloader"):
        batch = {key: value.to(scoring.device) if hasattr(value, "to") else value for key, value in batch.items()}
        plain = torch.softmax(module.unseen_logits(batch), 1)[:, 1].tolist()
        decided = torch.softmax(module.unseen_logits(batch, thresholds=True), 1)[:, 1].tolist()
        labels = batch["label"].tolist()
        for case, label, p, q in zip(batch["case"], labels, plain, decided, strict=True):
            answers.append((case, label, _slice(p, verdict=CLASS_NAMES[q >= 0.5])))
    return _by_case(answers)


@torch.inference_mode()
def _kidney_slices(scoring: Scoring) -> list[Record]:
    """Outlines and classes of the slices around every true kidney (Pan 2019): Dice over each case's slices.

    A patient's class is its record's, not its slices', so that one whose slices show only specks of tumor counts.
    """
    parser = scoring.training_parser()
    network = scoring.trained(parser)
    counts: dict[str, np.ndarray] = defaultdict(lambda: np.zeros((3, 3), np.int64))
    slices: dict[str, list[Record]] = defaultdict(list)
    malignant = {str(case["case"]): case.get("malignant") for case in scoring.turn.held_out}
    for batch in instantiate(parser, "validate#dataloader"):
        outputs = network_outputs(network, batch["image"].to(scoring.device))
        for place, case in enumerate(batch["case"]):
            truth = int(batch["slice_class"][place])
            if outputs.ternary is not None:
                predicted = outputs.ternary[place].argmax(0, keepdim=True).cpu().numpy()
                counts[case] += label_counts(predicted, batch["label"][place].cpu().numpy())
            if outputs.classes is not None:
                p = torch.softmax(outputs.classes[place].float(), 0).cpu()
                judged = SLICE_CLASS_NAMES[int(p.argmax())]
                answer = _slice(float(p[1] / (p[0] + p[1])), verdict=judged)
                slices[case].append({**answer, "truth": SLICE_CLASS_NAMES[truth] if truth >= 0 else None})
    return [_kidney_record(case, counts, slices, malignant) for case in sorted({*counts, *slices})]


def _kidney_record(
    case: str, counts: Mapping[str, np.ndarray], slices: Mapping[str, list[Record]], malignant: Mapping[str, Any]
) -> Record:
    record: Record = {"case": case, "malignant": malignant.get(case), "slices": slices.get(case, [])}
    if case in counts:
        own = counts[case]
        record["kidney_dice"] = dice_from_counts(own, (KIDNEY, TUMOR))
        record["tumor_dice"] = dice_from_counts(own, (TUMOR,)) if own[TUMOR].sum() else None
    return record


def _feature_slices(scoring: Scoring) -> list[Record]:
    """The support vector machine on the outlined tumors of the held-out cases."""
    parser = scoring.training_parser({"tumor_slices#cases": list(scoring.turn.held_out)})
    classifier = FeatureClassifier(scoring.trained(parser), float(parser.get_parsed_content("pixel_mm")))
    slices = instantiate(parser, "tumor_slices")
    with torch.inference_mode():
        p = torch.cat([torch.softmax(classifier(item["image"][None].float()), 1)[:, 1] for item in slices]).tolist()
    return _by_case((item["case"], item["label"], _slice(q)) for item, q in zip(slices, p, strict=True))


@torch.inference_mode()
def _detection(scoring: Scoring) -> list[Record]:
    """Kamkova's equations 2 and 3, per axial slice: on slices with a kidney, and on these and those without one."""
    network = scoring.trained(scoring.training_parser())
    threshold = float(scoring.score.get("score_threshold", 0.5))
    records = []
    for case in scoring.turn.held_out:
        every = {"validate#dataset#cases": [case], "validate#dataset#negative_share": 0.999}
        dataset = instantiate(scoring.training_parser(every), "validate#dataset")
        counts = np.zeros((2, 3), int)
        for index in range(len(dataset)):
            image, target = dataset[index]
            rows = network(image[None].to(scoring.device))[0].cpu()
            found = rows[:, rows[4] >= threshold]
            matched = match_counts(found[:4].t(), found[4], target["boxes"])
            counts[0] += matched if len(target["boxes"]) else (0, 0, 0)
            counts[1] += matched
        records.append({"case": case["case"], "kidney_slices": counts[0].tolist(), "all_slices": counts[1].tolist()})
    return records


def _cascade(scoring: Scoring) -> list[Record]:
    """Runs the cascade with the trained networks on the held-out scans and scores it as `nephro evaluate` does."""
    stages = scoring.score["stages"]
    values: dict[str, Any] = dict(scoring.score.get("set", {}))
    for stage, name in stages.items():
        run = scoring.runs[name]
        values[f"{stage}#weights"] = run.weights
        values[f"{stage}#configs"] = ["inference.json", *run.configs("inference")]
    overlay = scoring.folder / "cascade.json"
    with atomic_path(overlay) as path:
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    records = _journeys(scoring, overlay, scoring.turn.held_out, scoring.options.data, "results")
    if scoring.options.real is None:
        return records
    cases = list_training_cases(scoring.options.real)
    found = _journeys(scoring, overlay, cases, scoring.options.real, "real")
    return [*records, *({f"real_{key}": record[key] for key in _DICE} | {"case": record["case"]} for record in found)]


def _journeys(
    scoring: Scoring, overlay: Path, cases: Sequence[Mapping[str, Any]], data: Path, name: str
) -> list[Record]:
    """The cascade on some cases, scored against the labels of their folder."""
    results = scoring.folder / name
    settings = {
        "inputs": [case["image"] for case in cases], "output_dir": str(results),
        "device_name": str(scoring.device), "seed": scoring.turn.seed,
        "evaluator#options": {
            "_target_": "nephro_monai.engine.RunOptions", "seed": scoring.turn.seed, "device": str(scoring.device),
            "progress": scoring.options.progress,
        },
    }  # fmt: skip
    outcomes = instantiate(
        cascade_parser(configs=(*scoring.score["configs"], overlay), overrides=settings), "evaluator"
    )
    failed = [outcome for outcome in outcomes.run() if outcome.status == "failed"]
    if len(failed) == len(cases):
        raise WeightsError(f"The cascade failed on every case of {data.name}, first with: {failed[0].reason}")
    rows, _ = evaluate_cohort(results, data, only_predicted=True)
    return [
        {
            "case": row.case, "malignant": row.malignant, "slices": [], "kidney_dice": row.kidney_dice,
            "tumor_dice": row.tumor_dice if row.has_tumor else None,
        }
        for row in rows
    ]  # fmt: skip


SCORERS: dict[str, Callable[[Scoring], Sequence[Record]]] = {}
SCORERS.update(
    tumor_slices=_tumor_slices, unseen=_unseen, kidney_slices=_kidney_slices, feature_slices=_feature_slices,
    detection=_detection, cascade=_cascade,
)  # fmt: skip
