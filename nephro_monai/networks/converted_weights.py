"""Loads weights that were converted to safetensors, and says what was loaded and what was not."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from nephro_monai.errors import WeightsError

__all__ = ["load_converted_weights"]


def load_converted_weights(
    network: nn.Module, path: str | Path, optional: Collection[str] = (), advice: str = ""
) -> tuple[int, int]:
    """Loads a safetensors file whose keys are the network's own.

    Args:
        network: To fill. Floating-point tensors may be of any precision on disk.
        path: The file.
        optional: Beginnings of keys that the file may lack; those tensors stay as they are.
        advice: Added to the message when file and network do not fit.

    Returns:
        Counts of loaded and of skipped tensors; skipped are the file's tensors that the network does not have.

    Raises:
        WeightsError: If the file is missing or no safetensors file, or a tensor that the network needs is missing or
            has another shape.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path} does not exist; give the path of the converted checkpoint.")
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} is not a safetensors file ({error}); convert the released weights first."
        ) from error
    own = network.state_dict()
    # A batch counter says nothing about the weights, and neither Torch7 nor Caffe keeps one.
    needed = [key for key in own if not key.startswith(tuple(optional)) and not key.endswith("num_batches_tracked")]
    wrong = [
        f"{key} {tuple(state[key].shape) if key in state else 'missing'} instead of {tuple(own[key].shape)}"
        for key in own
        if (key in state and state[key].shape != own[key].shape) or (key in needed and key not in state)
    ]
    if wrong:
        raise WeightsError(
            f"{path} does not fit this network in {len(wrong)} of {len(own)} tensors, first {wrong[0]}. "
            + (advice or "Give weights of the same architecture and width.")
        )
    loaded = {key: state[key] for key in own if key in state}
    network.load_state_dict({**own, **loaded})
    skipped, kept = len(state) - len(loaded), len(own) - len(loaded)
    print(f"{path.name}: {len(loaded)} tensors loaded, {skipped} skipped, {kept} of the network's not in the file")
    return len(loaded), skipped
