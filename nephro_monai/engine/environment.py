"""What a run ran on: device, versions, revision."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

import torch

import nephro_monai
from nephro_monai.errors import NephroError

__all__ = ["git_revision", "hardware", "peak_memory_gib", "resolve_device", "versions"]

_PACKAGES = (
    "torch",
    "torchvision",
    "monai",
    "pytorch-lightning",
    "numpy",
    "nibabel",
    "SimpleITK",
    "itk-core",
    "itk-io",
)


def resolve_device(name: str = "auto") -> torch.device:
    """`auto` takes CUDA where it works, else the CPU.

    Raises:
        NephroError: If CUDA is asked for and there is none, or the name is unknown.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise NephroError(f"Unknown device '{name}'; give auto, cpu or cuda (or cuda:1 ...).") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise NephroError("CUDA was asked for, but torch finds no CUDA device. Give --device cpu, or check the driver.")
    return device


def hardware(device: torch.device) -> str:
    """What the numbers were computed on, in words: processor or card, and for processors cores and threads."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor()}, {cores} cores, {torch.get_num_threads()} threads"


def _processor() -> str:
    """Name of the processor; Linux has it only in a file."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Versions of this package, of Python and of the libraries that decide the numbers."""
    found = {"nephro_monai": nephro_monai.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def git_revision() -> str | None:
    """Revision of the source checkout, with `-dirty` for local changes; None for an installed package."""
    folder = Path(nephro_monai.__file__).resolve().parents[1]
    if not (folder / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=folder, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None


def peak_memory_gib() -> float | None:
    """Largest resident memory of this process so far in GiB; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
