"""Kidney tumors on CT: find, outline, classify. Research software, not for clinical use."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nephro_monai.engine import load_cascade as load_cascade

__version__ = "0.1.0"
__all__ = ["__version__", "load_cascade"]


def __getattr__(name: str) -> object:
    """Imports the engine (and with it torch) only when it is asked for."""
    if name == "load_cascade":
        from nephro_monai.engine import load_cascade

        return load_cascade
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
