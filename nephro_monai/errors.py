"""What can go wrong, by kind. Every message says what was given, what is allowed and what to do."""

from __future__ import annotations

__all__ = [
    "BundleError",
    "CasesFailedError",
    "DownloadError",
    "NephroError",
    "OutputError",
    "ParametersError",
    "ScanError",
    "TrainingDataError",
    "WeightsError",
]


class NephroError(Exception):
    """Base of all errors a user can act on; the command line prints them in one line."""


class ScanError(NephroError, ValueError):
    """An input scan cannot be read or is not a usable CT volume."""


class BundleError(NephroError, ValueError):
    """A bundle is missing, incomplete or inconsistent."""


class WeightsError(NephroError, ValueError):
    """A weight file is missing, altered or does not fit the network."""


class ParametersError(NephroError, ValueError):
    """Ranges of the phantom hold an unknown name or a value that cannot be drawn from."""


class CasesFailedError(NephroError, RuntimeError):
    """Cases of a run failed; the others have their results."""


class OutputError(NephroError, OSError):
    """A result cannot be written."""


class DownloadError(NephroError, OSError):
    """A file cannot be fetched whole."""


class TrainingDataError(NephroError, ValueError):
    """A training data folder is missing something the training needs."""
