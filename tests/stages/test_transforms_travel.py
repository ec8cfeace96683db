"""Every dictionary transform of the package can be sent to another process, and is the same there."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import pytest
from monai.transforms import MapTransform, Randomizable
from torch import nn

from nephro_monai import io, reporting, stages, transforms
from nephro_monai.io import LoadScand
from nephro_monai.networks.fold_vote import FoldVote
from nephro_monai.structures import SliceGrid

TRANSFORMS = sorted(
    {
        part
        for room in (io, transforms, stages, reporting)
        for part in vars(room).values()
        if inspect.isclass(part) and issubclass(part, MapTransform) and part.__module__.startswith("nephro_monai.")
    },
    key=lambda part: part.__name__,
)


class AnyNetwork(FoldVote):
    """Has what the stages ask their networks for: the slices it sees, fold models."""

    def __init__(self) -> None:
        super().__init__(nn.Identity, folds=3, own_inputs=True)
        self.grid = SliceGrid()


def argument(name: str) -> Any:
    """A value for a parameter without a default: keys and folders are text, bounds by name, all else is a network."""
    if name == "bounds":
        return {"pixel_mm": (0.5, 1.0)}
    if name == "spacing_mm":
        return (0.5, 1.0, 2.0)
    return "text" if name == "keys" or name.endswith("_dir") else AnyNetwork()


def test_the_transforms_are_found() -> None:
    assert LoadScand in TRANSFORMS
    assert len(TRANSFORMS) >= 15


@pytest.mark.parametrize("kind", TRANSFORMS, ids=lambda kind: kind.__name__)
def test_it_can_be_pickled(kind) -> None:
    parameters = inspect.signature(kind).parameters.values()
    missing = [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    transform = kind(**{name: argument(name) for name in missing})
    there = pickle.loads(pickle.dumps(transform))
    assert type(there) is kind and there.keys == transform.keys
    plain = (str, int, float, bool, tuple, type(None))
    assert all(getattr(there, k) == v for k, v in vars(transform).items() if isinstance(v, plain))
    # Names say it: what is random starts with "Rand", and takes a seed.
    assert kind.__name__.startswith("Rand") == issubclass(kind, Randomizable)
