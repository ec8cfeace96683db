"""Draws what the networks of `nephro experiment synthetic-to-real` see: training patches of each row, with outlines.

python scripts/draw_ingredients.py DATA OUT.png     (DATA: a folder with tissue_crops.npz or tissues.nii.gz)
"""

from __future__ import annotations

import sys

import matplotlib.pyplot as plt
import numpy as np
import torch

from nephro_monai.constants import CYST, KIDNEY, TUMOR
from nephro_monai.engine.bundles import read_configs
from nephro_monai.evaluation.experiment_plan import Training, read_experiment

_PATCHES = 6
_COLORS = {KIDNEY: "#ffb000", TUMOR: "#dc267f", CYST: "#648fff"}
_TUMOR_FIRST = 1000
_SEED = 3


def training_patches(training: Training, data: str) -> tuple[np.ndarray, np.ndarray]:
    """The slices with most tumor, else most kidney, of the first patches of a training, as the network gets them.

    Args:
        training: Of a V-Net with `synthetic.json`.
        data: Folder with tissue crops.

    Returns:
        Images (N, X, Y) in -1..1 and their labels (N, X, Y).
    """
    values = {**training.both, **training.training, "dataset_dir": data, "progress": False, "batch_size": _PATCHES}
    parser = read_configs(training.bundle, ("train.json", *training.configs_of("training")), values)
    torch.manual_seed(_SEED)
    batch = next(iter(parser.get_parsed_content("train#dataloader")))
    torch.manual_seed(_SEED)
    synthesis, augmentation = (parser.get_parsed_content(f"train#{part}") for part in ("synthesis", "augmentation"))
    image, label = augmentation(*synthesis(batch["tissues"]))
    shown = (_TUMOR_FIRST * (label == TUMOR) + (label > 0)).sum(dim=(1, 2, 3)).argmax(dim=1)
    patches = torch.arange(len(image))
    return image[patches, 0, ..., shown].numpy(), label[patches, 0, ..., shown].numpy()


def draw(data: str, out: str) -> None:
    """One row of patches for each row of the study that looks unlike the one before."""
    experiment = read_experiment("synthetic-to-real")
    rows: list[tuple[str, tuple[np.ndarray, np.ndarray]]] = []
    for row in experiment.rows:
        patches = training_patches(experiment.trainings[row.trainings[0]], data)
        if not rows or any(not np.array_equal(*pair) for pair in zip(patches, rows[-1][1], strict=True)):
            rows.append((row.name, patches))
    size = (1.7 * _PATCHES, 2.0 * len(rows))
    figure, axes = plt.subplots(len(rows), _PATCHES, figsize=size, squeeze=False, layout="constrained")
    for line, (name, patches) in zip(axes, rows, strict=True):
        for axis, image, label in zip(line, *patches, strict=True):
            image, label = (part.T[::-1, ::-1] for part in (image, label))  # R-A-S: anterior up, the right at the left
            axis.imshow(image, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
            for value, color in _COLORS.items():
                if (label == value).any():
                    axis.contour(value == label, [0.5], colors=color, linewidths=1)
            axis.axis("off")
        line[0].set_title(name, loc="left", fontsize=9)
    figure.savefig(out, dpi=80)


if __name__ == "__main__":
    draw(*sys.argv[1:])
