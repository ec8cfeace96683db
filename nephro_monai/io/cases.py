"""From what a user names to the list of scans."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from nephro_monai.errors import ScanError
from nephro_monai.io.dicom_headers import holds_dicom, study_uid
from nephro_monai.io.volume import scan_format
from nephro_monai.structures import Case

__all__ = ["find_cases", "safe_name"]

_KITS19_SCANS = ("imaging.nii.gz", "imaging.nii")
_NOT_SCANS = {"segmentation.nii.gz", "segmentation.nii", "tissues.nii.gz"}
_SUFFIX = re.compile(r"\.(nii|nii\.gz|mha|mhd|nrrd|nhdr)$", re.IGNORECASE)
_MAX_NAME = 120


def find_cases(inputs: Sequence[str | Path]) -> list[Case]:
    """Lists the scans behind files and folders.

    An input is one of
      - a NIfTI, MetaImage or NRRD file;
      - a KiTS19 folder: a case (`case_00000/` with `imaging.nii.gz` in it), the folder of the cases, or the parent
        of its `data/`; label maps (`segmentation.nii.gz`, `tissues.nii.gz`) are passed over;
      - a folder of one DICOM study, in subfolders or not: one case (which series is read: `read_dicom_series`).
        Subfolders count as one study when their first files carry the same study UID;
      - a folder of scans: every scan file in it and every subfolder that is a KiTS19 case or holds DICOM is a case.

    A case is named after its file (without suffix) or folder, with everything but letters, digits, `.`, `-`, `+` and
    `_` replaced by `_`. Where two inputs would share a name, both get the names of their parent folders in front;
    the same scan given twice is one case.

    Args:
        inputs: What the user gave.

    Returns:
        At least one case, in the order given, folders sorted by name; names are unique (ignoring upper and lower
        case) and safe as folder names.

    Raises:
        ScanError: If an input does not exist or holds no scan, or if two scans cannot be told apart by name.
    """
    if not inputs:
        raise ScanError("No input given; name at least one scan file or folder.")
    paths: list[Path] = []
    for given in inputs:
        found = _scans_behind(Path(given))
        paths.extend(path for path in found if path not in paths)
    unique = {path.resolve(): path for path in reversed(paths)}
    kept = [path for path in paths if unique.get(path.resolve()) is path]
    return [Case(name, str(path)) for name, path in zip(_unique_names(kept), kept, strict=True)]


def safe_name(name: str) -> str:
    """`name` as it may stand for a folder: no separators, no leading dot, at most 120 characters, never empty."""
    return re.sub(r"[^\w.+\-]", "_", name).strip(". ")[:_MAX_NAME] or "case"


def _scans_behind(given: Path) -> list[Path]:
    if not given.exists():
        raise ScanError(f"{given}: does not exist; check the path.")
    if given.is_file():
        if scan_format(given) is None:
            raise ScanError(
                f"{given}: unknown file type; allowed are .nii, .nii.gz, .mha, .mhd, .nrrd, .nhdr and folders of a "
                "DICOM series (give the folder, not one of its files)."
            )
        return [given]
    found = _scans_in_folder(given)
    if not found and (given / "data").is_dir():
        found = _scans_in_folder(given / "data")
    if not found:
        raise ScanError(
            f"{given}: holds no scan; allowed are NIfTI, MetaImage and NRRD files, DICOM series and KiTS19 folders."
        )
    return found


def _scans_in_folder(folder: Path) -> list[Path]:
    kits19 = _kits19_scan(folder)
    if kits19 is not None:
        return [kits19]
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise ScanError(f"{folder}: cannot be listed ({error.strerror}); check its rights.") from error
    files = [e for e in entries if e.is_file() and scan_format(e) and e.name not in _NOT_SCANS]
    if holds_dicom(folder, deep=False):
        return [folder, *files]
    cases: dict[Path, Path] = {}
    studies: list[str | None] = []
    for subfolder in (e for e in entries if e.is_dir()):
        scan = _kits19_scan(subfolder)
        if scan is not None:
            cases[subfolder] = scan
        elif holds_dicom(subfolder):
            cases[subfolder] = subfolder
            studies.append(study_uid(subfolder))
    one_study = len(studies) > 1 and len(set(studies)) == 1 and studies[0] is not None
    if one_study and len(studies) == len(cases) and not files:
        return [folder]
    return sorted([*files, *cases.values()])


def _kits19_scan(folder: Path) -> Path | None:
    return next((folder / name for name in _KITS19_SCANS if (folder / name).is_file()), None)


def _unique_names(paths: list[Path]) -> list[str]:
    parts = [_name_parts(path) for path in paths]
    depths = [1] * len(paths)
    while True:
        names = [safe_name("_".join(p[-d:])) for p, d in zip(parts, depths, strict=True)]
        counts = Counter(name.casefold() for name in names)
        clashing = [i for i, name in enumerate(names) if counts[name.casefold()] > 1]
        if not clashing:
            return names
        deeper = [i for i in clashing if depths[i] < len(parts[i])]
        plain = [i for i in clashing if parts[i][-1] != paths[i].name and paths[i].is_file()]
        if not deeper and plain:  # scan.mha beside scan.nii.gz: the suffix tells them apart
            for i in plain:
                parts[i], depths[i] = [*parts[i][:-1], paths[i].name], 1
            continue
        if not deeper:
            both = " and ".join(str(paths[i]) for i in clashing[:2])
            raise ScanError(f"{both} would share the output folder {names[clashing[0]]}; rename one of them.")
        for i in deeper:
            depths[i] += 1


def _name_parts(path: Path) -> list[str]:
    """Folder names down to the name of the case."""
    absolute = path.resolve() if ".." in path.parts else path.absolute()  # links keep their own names
    parts = [part for part in absolute.parts[1:] if part]
    if path.is_dir():
        return parts or ["case"]
    if path.name in _KITS19_SCANS and len(parts) > 1:
        return parts[:-1]
    return [*parts[:-1], _SUFFIX.sub("", parts[-1])]
