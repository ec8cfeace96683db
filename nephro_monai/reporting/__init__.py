"""Figures, the report page, and the transform that writes both."""

from __future__ import annotations

from nephro_monai.reporting.case_view import CaseView
from nephro_monai.reporting.overview import draw_overview
from nephro_monai.reporting.report import render_report
from nephro_monai.reporting.save_report import SaveReportd

__all__ = ["CaseView", "SaveReportd", "draw_overview", "render_report"]
