"""Where bfloat16 pays off, and the autocast context for it."""

from __future__ import annotations

import torch

__all__ = ["autocast", "bfloat16_is_fast"]


def bfloat16_is_fast(device: torch.device | str) -> bool:
    """True where the hardware multiplies bfloat16: CUDA compute capability 8 and up, CPUs with AVX512-BF16 or AMX."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.is_available() and torch.cuda.get_device_capability(device)[0] >= 8
    return device.type == "cpu" and _cpu_multiplies_bfloat16()


def autocast(device: torch.device | str, enabled: bool | None = None) -> torch.autocast:
    """bfloat16 autocast for `device`.

    Args:
        device: Where the network runs.
        enabled: None turns it on where the hardware has it; True or False decides by hand.
    """
    device = torch.device(device)
    on = bfloat16_is_fast(device) if enabled is None else enabled
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=on)


def _cpu_multiplies_bfloat16() -> bool:
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
