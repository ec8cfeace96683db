"""MetaImage and NRRD files through ITK."""

from __future__ import annotations

from pathlib import Path

from nephro_monai.io.volume import RawVolume

__all__ = ["read_itk_volume"]


def read_itk_volume(path: str | Path) -> RawVolume:
    raise NotImplementedError
