"""The page: complete, self-contained, safe, and alive in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch

from nephro_monai.constants import DISCLAIMER, SYNTHETIC_NOTICE
from nephro_monai.reporting import CaseView, render_report
from nephro_monai.structures import Calibration, ModelVote

_VOID = {"meta", "img", "input", "br", "link"}
_CASES = {
    "malignant": {},
    "benign, one kidney": {"sides": ("right",), "verdict": "benign"},
    "undetermined": {"verdict": "undetermined"},
    "no tumor": {"tumor": False},
    "no kidney": {"tumor": False, "sides": ()},
    "one slice": {"shape": (96, 80, 1)},
}


class _Page(HTMLParser):
    """Checks that tags are balanced and collects addresses and texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in _VOID:
            self.open.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_startendtag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data


@pytest.fixture(scope="module")
def page(make_case, provenance):
    return render_report(CaseView.from_case(make_case()), provenance)


@pytest.mark.parametrize("name", _CASES)
def test_every_kind_of_case_gives_a_sound_page(make_case, provenance, name):
    view = CaseView.from_case(make_case(**_CASES[name]))
    text = _Page(render_report(view, provenance)).text
    assert DISCLAIMER in text
    assert SYNTHETIC_NOTICE in text
    assert view.diagnosis.verdict in text
    assert view.diagnosis.reason in text
    assert ("Undetermined is an answer" in text) == (view.diagnosis.verdict == "undetermined")
    assert ("No tumor was outlined" in text) == (not view.tumors)
    assert ("No kidney was outlined" in text) == (not view.kidneys)
    assert ("One kidney was outlined" in text) == (len(view.kidneys) == 1)


def test_a_scan_outside_the_training_range_says_so(make_case, provenance, page):
    case = {**make_case(), "warnings": ("Axial slices lie 8 mm apart & more.",)}
    text = _Page(render_report(CaseView.from_case(case), provenance)).text
    assert "is unlike most of what the networks were trained on" in text and "8 mm apart & more." in text
    assert "lies outside" not in _Page(page).text


def test_nothing_is_loaded_from_elsewhere(page):
    assert all(address.startswith("data:image/jpeg;base64,") for address in _Page(page).addresses)
    assert not re.search(r"https?:|@import|url\((?!#)", page)
    assert "default-src 'none'" in page


def test_slices_crops_and_facts_are_embedded(page, make_case, provenance):
    case = make_case()
    slices = json.loads(re.search(r'id="slice-data">(.*?)</script>', page, re.DOTALL)[1])
    assert len(slices) == 40
    assert page.count("data:image/jpeg;base64,") >= 1 + 2 * len(case["slice_votes"])
    text = _Page(page).text
    for expected in ("imaging.nii.gz", "40 x 80 x 96 voxels, axes IPL", "The header's sform was used.", "61 detections",
                     provenance["classify"]["sha256"], "6.50"):  # fmt: skip
        assert expected in text


def test_fallback_stands_out(make_case):
    case = make_case(tumor=False)
    case["localization"] = {"found": False, "fallback": True, "note": "Nothing was detected.", "detections": 0}
    page = render_report(CaseView.from_case(case))
    assert 'class="attention"' in page
    assert "fallback to the whole body" in page


def test_names_and_notes_cannot_inject_markup(make_case):
    case = make_case()
    case["case"] = "<script>alert(1)</script>"
    case["diagnosis"] = type(case["diagnosis"])("undetermined", "a < b & <img src=x>")
    page = render_report(CaseView.from_case(case))
    assert "<script>alert" not in page
    assert "<img src=x>" not in page
    assert "a < b & <img src=x>" in _Page(page).text


def test_many_slices_are_thinned_and_counted(make_case):
    view = CaseView.from_case(make_case(shape=(40, 40, 300), spacing_mm=(9.0, 9.0, 0.7)))
    page = render_report(view)
    assert len(view.votes) > 48
    assert f"48 of {len(view.votes)} slices are shown" in page
    assert "slices are on this page" in page


def test_a_calibrated_verdict_shows_its_limits(make_case):
    case = make_case()
    calibration = Calibration(1.5, 0.25, 0.6, 0.9, 31)
    models = (ModelVote("fold 0", 0.81, "malignant"), ModelVote("fold 1", 0.5, "undetermined"))
    case["diagnosis"] = replace(case["diagnosis"], probability_malignant=0.72, calibration=calibration, models=models)
    text = " ".join(_Page(page := render_report(CaseView.from_case(case))).text.split())
    assert "Calibrated probability of malignant 0.72" in text
    assert "benign below 0.25, malignant from 0.60, undetermined between them" in text
    assert '<b style="left:25.0%;width:35.0%">' in page
    assert "fitted on 31 patients kept out of training, so that at least 90% of malignant tumors" in text
    assert "fold 0: malignant (0.81), fold 1: undetermined (0.50)" in text
    assert "Calibrated" not in _Page(render_report(CaseView.from_case(make_case()))).text


def test_where_the_classifier_looked_is_shown_beside_each_vote(make_case):
    case = make_case()
    count = len(case["slice_votes"])
    case["slice_maps"] = torch.rand(count, 1, 8, 8)
    page = render_report(CaseView.from_case(case))
    assert page.count('class="map"') == count and "Grad-CAM" in page
    assert len(re.findall(r'<img alt="" (?:class="map" )?src="data:image/jpeg', page)) == 3 * count
    plain = render_report(CaseView.from_case(make_case()))
    assert "Grad-CAM" not in plain and 'class="map"' not in plain
    case["slice_maps"] = torch.rand(count + 1, 1, 8, 8)
    with pytest.raises(ValueError, match="slice_maps holds"):
        CaseView.from_case(case)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs the browser chromium")
def test_the_viewer_runs_in_a_browser(page, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    command = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", f"file://{path}#z=23",
    ]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert 'data-z="23"' in re.search(r'<div id="viewer"[^>]*>', dom)[0]
    assert "z -885.0 mm" in dom
    assert re.search(r'<div id="names"[^>]*><span[^>]*>T1</span></div>', dom)
