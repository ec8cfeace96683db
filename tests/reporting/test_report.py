"""The page: complete, self-contained, safe, and alive in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from nephro_monai.constants import DISCLAIMER, SYNTHETIC_NOTICE
from nephro_monai.reporting import CaseView, render_report

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
