"""Reading scans and writing results."""

from __future__ import annotations

from nephro_monai.io.atomic import atomic_path, remove_partial_files
from nephro_monai.io.cases import find_cases
from nephro_monai.io.load_scan import LoadScand, load_label_map, load_scan
from nephro_monai.io.save_boxes import SaveKidneyBoxesd
from nephro_monai.io.save_diagnosis import SaveDiagnosisd
from nephro_monai.io.save_segmentation import SaveSegmentationd, save_label_map
from nephro_monai.io.second_phase import LoadSecondPhased, load_second_phase, second_phase_path
from nephro_monai.io.training_notice import training_notice

__all__ = [
    "LoadScand",
    "LoadSecondPhased",
    "SaveDiagnosisd",
    "SaveKidneyBoxesd",
    "SaveSegmentationd",
    "atomic_path",
    "find_cases",
    "load_label_map",
    "load_scan",
    "load_second_phase",
    "remove_partial_files",
    "save_label_map",
    "second_phase_path",
    "training_notice",
]
