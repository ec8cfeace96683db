"""Writes random weights for the networks of the papers' widths, to measure what they cost where none are trained.

python scripts/random_weights.py CONFIGURATION FOLDER

CONFIGURATION is one of the cascade, such as full_size.json. FOLDER/STAGE.pt is written for each network whose weights
do not ship, and the options that give them to `nephro predict` are printed. What such networks say means nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from nephro_monai.engine.bundles import find_bundle, read_configs
from nephro_monai.io import atomic_path

_CASCADE = "nephro_cascade"


def write_random_weights(configuration: str, folder: Path, seed: int = 0) -> dict[str, Path]:
    """The files by stage.

    Args:
        configuration: File of the cascade's `configs`, laid over its inference.json.
        folder: Made if it is not there.
        seed: Of the weights.

    Raises:
        ValueError: If all weights that the configuration names are there.
    """
    cascade = read_configs(_CASCADE, ("inference.json", configuration)).config
    named = {stage: part for stage, part in cascade.items() if isinstance(part, dict) and "weights" in part}
    stages = {s: part for s, part in named.items() if not (find_bundle(part["bundle"]) / part["weights"]).is_file()}
    if not stages:
        raise ValueError(f"All weights that {configuration} of {_CASCADE} names are there; random ones are not needed.")
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    written = {}
    for stage, part in stages.items():
        network = read_configs(find_bundle(part["bundle"]), part["configs"]).get_parsed_content("network_def")
        written[stage] = folder / f"{stage}.pt"
        with atomic_path(written[stage]) as path:
            torch.save(network.state_dict(), path)
    return written


def main(arguments: Sequence[str]) -> int:
    """Writes and prints; 2 for wrong use."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    configuration, folder = arguments
    written = write_random_weights(configuration, Path(folder))
    print(f"--config {configuration} " + " ".join(f"--set {s}#weights={p.resolve()}" for s, p in written.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
