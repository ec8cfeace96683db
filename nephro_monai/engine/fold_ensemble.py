"""Predicts with all folds of a cross-validation."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch import nn

from nephro_monai.engine.bundles import instantiate
from nephro_monai.engine.cascade import DEFAULT_CASCADE, cascade_parser
from nephro_monai.errors import BundleError
from nephro_monai.io import LoadScand, LoadSecondPhased
from nephro_monai.systems import find_system

__all__ = ["RunFoldsd"]


class RunFoldsd(MapTransform):
    """Takes a case through the journey of every fold, each with its own weights and calibration.

    The scan is read before; a second contrast phase is read here, once for all folds, where their journeys take one.

    Adds to the case dictionary:
        fold_cases: The case dictionary after each fold's journey, in the order of the folds.
        second_image: The second phase, where there is one (see `LoadSecondPhased`).
    """

    def __init__(
        self,
        folder: str | Path,
        keys: KeysCollection = "image",
        output_key: str = "fold_cases",
        device_name: str = "auto",
        bundle: str | Path = DEFAULT_CASCADE,
    ) -> None:
        """Loads the folds' networks.

        Args:
            folder: What `nephro cross-validate` wrote: cross_validation.json and fold_0/cascade.json, fold_1/...
            keys: Where the scan is (one key).
            output_key: Where the folds' cases go.
            device_name: auto, cpu or cuda.
            bundle: Cascade bundle.

        Raises:
            BundleError: If the folder holds no finished folds.
            WeightsError: If weights are missing or altered.
        """
        super().__init__(keys)
        files = sorted(Path(folder).glob("fold_*/cascade.json"), key=lambda path: int(path.parent.name[5:]))
        try:
            run = json.loads((Path(folder) / "cross_validation.json").read_text(encoding="utf-8"))["settings"]
            system, wanted, configs = str(run["system"]), int(run["folds"]), list(run["cascade_configs"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{folder} holds no cross-validation ({error}). Give the --out of its run.") from error
        if len(files) != wanted or not (Path(folder) / "summary.json").is_file():
            raise BundleError(
                f"The cross-validation in {folder} is not finished ({len(files)} of {wanted} folds are trained). "
                "Run `nephro cross-validate` again to finish it."
            )
        self.output_key = output_key
        self.journeys = []
        self.networks: dict[str, nn.Module] = {}
        for index, file in enumerate(files):
            own = (find_system(system).configuration, *configs, str(file))
            parser = cascade_parser(bundle, own, {"device_name": device_name})
            self.journeys.append(instantiate(parser, "inferer"))
            for stage, network in instantiate(parser, "network_def").items():
                self.networks[f"fold_{index}_{stage}"] = network

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns the case with the folds' cases.

        Raises:
            ScanError: If the folds take a second phase that is missing or lies on another grid.
        """
        case = dict(data)
        for step in self.journeys[0].transforms:  # all folds are of one system
            if isinstance(step, LoadSecondPhased):
                case = step(case)
        found = []
        for journey in self.journeys:
            own = dict(case)
            for step in journey.transforms:
                if not isinstance(step, LoadScand | LoadSecondPhased):
                    own = step(own)
            found.append(own)
        case[self.output_key] = found
        return case
