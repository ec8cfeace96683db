"""Writes the figure and the page of a case."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from monai.transforms import MapTransform

from nephro_monai.io.atomic import atomic_path
from nephro_monai.reporting.case_view import CaseView
from nephro_monai.reporting.overview import draw_overview
from nephro_monai.reporting.report import render_report

__all__ = ["SaveReportd"]


class SaveReportd(MapTransform):
    """Writes `<output_dir>/<case>/overview.png` and `report.html`; the case passes through unchanged.

    Args:
        output_dir: Folder of the run.
        provenance: By stage, the bundle, version, weights, checksum ("sha256") and training data ("trained_on") of
            its network, as the engine makes it. Without it the notice of the shipped, synthetic weights is shown.

    Example:
        ``SaveReportd("out")({"case": "case_00000", "image": ..., "segmentation": ..., "diagnosis": ..., ...})``
    """

    def __init__(self, output_dir: str | Path, provenance: Mapping[str, Any] | None = None) -> None:
        super().__init__(keys=("image", "segmentation", "scan", "diagnosis"))
        self.output_dir = Path(output_dir)
        self.provenance = provenance

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Writes both files.

        Args:
            data: The case after the vote.

        Raises:
            ValueError: If the case lacks what a report needs.
            OutputError: If the folder or a file cannot be written.
        """
        view = CaseView.from_case({str(key): value for key, value in data.items()})
        folder = self.output_dir / view.name
        with atomic_path(folder / "overview.png") as path:
            draw_overview(view, path, self.provenance)
        with atomic_path(folder / "report.html") as path:
            path.write_text(render_report(view, self.provenance), encoding="utf-8")
        return dict(data)
