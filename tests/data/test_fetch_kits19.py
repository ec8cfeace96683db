"""KiTS19's files from a local server: which, where to, and what is said of those that fail."""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import typer
from typer.testing import CliRunner

from nephro_monai.cli.fetch_kits19 import fetch_kits19 as command
from nephro_monai.data.fetch_kits19 import IMAGES_URL, LABELS_URL, Kits19Addresses, fetch_kits19
from nephro_monai.io.download import Transfer

CONTENT = gzip.compress(b"a scan" * 5000)
QUICK = Transfer(timeout_s=0.5, attempts=2, wait_s=0.01)


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.server.seen.append(self.path)
        absent = any(name in self.path for name in self.server.absent)
        records = json.dumps([{"case_id": "case_00000"}]).encode()
        body = b"no" if absent else records if self.path.endswith("kits.json") else CONTENT
        self.send_response(404 if absent else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads, server.seen, server.absent = True, [], []
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    server.addresses = Kits19Addresses(
        *(f"http://127.0.0.1:{server.server_port}/{part}" for part in ("images", "data"))
    )
    yield server
    server.shutdown()
    server.server_close()


def test_files_of_training_and_test_cases(server, tmp_path):
    states = []
    report = fetch_kits19(
        tmp_path, [0, 209, 210], server.addresses, transfer=QUICK, progress=lambda *told: states.append(told[:2])
    )
    assert (report.failed, report.skipped) == ((), ())
    expected = ["case_00000/imaging.nii.gz", "case_00000/segmentation.nii.gz", "case_00209/imaging.nii.gz",
                "case_00209/segmentation.nii.gz", "case_00210/imaging.nii.gz", "kits.json"]  # fmt: skip
    assert list(report.done) == expected
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == expected
    assert "/images/case_00210.nii.gz" in server.seen
    assert {name for name, state in states if state == "done"} == set(expected)


def test_a_second_run_fetches_only_what_is_missing(server, tmp_path):
    server.absent = ["images/case_00001"]
    report = fetch_kits19(tmp_path, [0, 1], server.addresses, transfer=QUICK, parallel=2)
    assert [name for name, _ in report.failed] == ["case_00001/imaging.nii.gz"]
    assert "404" in report.failed[0][1]
    server.absent, server.seen = [], []
    report = fetch_kits19(tmp_path, [0, 1], server.addresses, transfer=QUICK)
    assert (report.done, len(report.skipped)) == (("case_00001/imaging.nii.gz",), 4)
    assert server.seen == ["/images/case_00001.nii.gz"]


def test_images_alone(server, tmp_path):
    report = fetch_kits19(tmp_path, [3], server.addresses, labels=False, transfer=QUICK)
    assert report.done == ("case_00003/imaging.nii.gz",)


def test_wrong_records_are_no_kits_json(server, tmp_path):
    addresses = Kits19Addresses(server.addresses.images, server.addresses.images)
    server.absent = ["segmentation"]
    report = fetch_kits19(tmp_path, [0], addresses, transfer=QUICK)
    assert [name for name, _ in report.failed] == ["case_00000/segmentation.nii.gz"]


def test_addresses_and_numbers(tmp_path):
    assert IMAGES_URL.startswith("https://")
    assert LABELS_URL.startswith("https://")
    assert Kits19Addresses("http://a/", "http://b/").files([0])[1:] == [
        ("http://a/case_00000.nii.gz", "case_00000/imaging.nii.gz"),
        ("http://b/case_00000/segmentation.nii.gz", "case_00000/segmentation.nii.gz"),
    ]
    with pytest.raises(ValueError, match="0 to 299"):
        fetch_kits19(tmp_path, [300])


def test_as_it_is_typed(server, tmp_path):
    app = typer.Typer()
    app.command()(command)
    urls = ["--images-url", server.addresses.images, "--labels-url", server.addresses.labels, "--attempts", "1"]
    server.absent = ["case_00001/segmentation"]
    result = CliRunner().invoke(app, ["--out", str(tmp_path / "d"), "--cases", "0-1", *urls])
    assert result.exit_code == 1
    assert "case_00001/segmentation.nii.gz: http://127.0.0.1" in result.output
    assert "4 files fetched, 0 there already, 1 failed." in result.output
    server.absent = []
    result = CliRunner().invoke(app, ["--out", str(tmp_path / "d"), "--cases", "0-1", *urls])
    assert (result.exit_code, "1 files fetched, 4 there already, 0 failed." in result.output) == (0, True)
    assert CliRunner().invoke(app, ["--out", str(tmp_path / "d"), "--cases", "290-310"]).exit_code == 2
    assert CliRunner().invoke(app, ["--out", str(tmp_path / "d"), "--cases", "x"]).exit_code == 2
