"""Downloads from a server that cuts, stalls, lies about length and answers 404 and 503."""

from __future__ import annotations

import gzip
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from nephro_monai.errors import DownloadError, OutputError
from nephro_monai.io.download import Transfer, check_gzip, download, partial_path

CONTENT = gzip.compress(np.random.default_rng(0).bytes(300_000))
QUICK = Transfer(timeout_s=0.4, attempts=3, wait_s=0.01)


class _Handler(BaseHTTPRequestHandler):
    """Misbehaves as the path asks; `server.seen` lists paths and ranges."""

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        trick, wanted = self.path.split("/")[1], self.headers.get("Range")
        seen = self.server.seen.setdefault(trick, [])
        seen.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and "norange" not in trick else 0
        if trick == "missing" or (trick == "busy" and len(seen) <= 2) or trick == "down":
            return self._answer(404 if trick == "missing" else 503, b"sorry", {"Retry-After": "0"})
        if start >= len(CONTENT):
            return self._answer(416, b"", {"Content-Range": f"bytes */{len(CONTENT)}"})
        body = {"html": b"<html>Sign in</html>", "changed": CONTENT[:100] + b"x" + CONTENT[101:]}.get(trick, CONTENT)
        headers = {"Content-Length": str(len(body) - start)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        body = body[start:]
        if trick in ("cut", "norange") and (trick == "cut" or len(seen) == 1):
            body = body[: max(90_000, len(body) // 3)]
        if trick in ("long", "longnorange"):
            headers = {"Content-Length": str(len(body) + 500)}
        if trick == "short":
            body, headers = body[:-500], {"Content-Length": str(len(body) - 500)}
        if trick == "nolength":
            headers = {}
        if trick == "wrongpart":
            headers["Content-Range"] = f"bytes 0-{len(body) - 1}/{len(CONTENT)}"
        pause = trick == "stall" and len(seen) == 1
        return self._answer(206 if wanted and "Content-Range" in headers else 200, body, headers, pause)

    def _answer(self, status, body, headers, pause=False):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        half = len(body) // 2 if pause else len(body)
        self.wfile.write(body[:half])
        if pause:
            self.wfile.flush()
            time.sleep(1.0)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.seen = {}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    server.server_close()


def _fetch(server, tmp_path, trick, **options):
    target = tmp_path / "case_00000" / "imaging.nii.gz"
    download(f"{server.url}/{trick}/imaging.nii.gz", target, check_gzip, QUICK, **options)
    return target


def _only(folder):
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def test_a_plain_download(server, tmp_path):
    steps = []
    target = _fetch(server, tmp_path, "plain", progress=lambda here, total: steps.append((here, total)))
    assert target.read_bytes() == CONTENT
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert _only(target.parent) == ["imaging.nii.gz"]


@pytest.mark.parametrize("trick", ["cut", "stall", "busy", "norange", "nolength", "long"])
def test_it_ends_well_all_the_same(server, tmp_path, trick):
    target = _fetch(server, tmp_path, trick)
    assert target.read_bytes() == CONTENT
    assert _only(target.parent) == ["imaging.nii.gz"]


def test_a_cut_is_gone_on_from(server, tmp_path):
    _fetch(server, tmp_path, "cut")
    starts = [0 if r is None else int(r[6:-1]) for r in server.seen["cut"]]
    assert starts == sorted(set(starts))
    assert len(starts) > 2


def test_a_later_run_goes_on_where_one_stopped(server, tmp_path):
    target = tmp_path / "case_00000" / "imaging.nii.gz"
    target.parent.mkdir()
    partial_path(target).write_bytes(CONTENT[:1000])
    assert _fetch(server, tmp_path, "plain").read_bytes() == CONTENT
    assert server.seen["plain"] == ["bytes=1000-"]


def test_a_whole_partial_file_needs_no_byte(server, tmp_path):
    target = tmp_path / "case_00000" / "imaging.nii.gz"
    target.parent.mkdir()
    partial_path(target).write_bytes(CONTENT)
    assert _fetch(server, tmp_path, "plain").read_bytes() == CONTENT
    assert server.seen["plain"] == [f"bytes={len(CONTENT)}-"]


@pytest.mark.parametrize("leftover", [CONTENT + b"more", b"x" * 2000])
def test_bytes_of_another_file_are_thrown_away(server, tmp_path, leftover):
    target = tmp_path / "case_00000" / "imaging.nii.gz"
    target.parent.mkdir()
    partial_path(target).write_bytes(leftover)
    assert _fetch(server, tmp_path, "plain").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("trick", "message", "requests"),
    [
        ("missing", "404 Not Found", 1),
        ("down", r"503 Service Unavailable \(3 tries\)", 3),
        ("short", "twice, is not whole: its gzip stream is damaged", 2),
        ("changed", "twice, is not whole: its gzip stream is damaged", 2),
        ("html", "not gzip but starts with '<html>Sign in", 2),
    ],
)
def test_failures_leave_no_file(server, tmp_path, trick, message, requests):
    with pytest.raises(DownloadError, match=message):
        _fetch(server, tmp_path, trick)
    assert len(server.seen[trick]) == requests
    assert _only(tmp_path / "case_00000") == []


def test_what_arrived_stays_when_the_server_goes(server, tmp_path):
    target = tmp_path / "case_00000" / "imaging.nii.gz"
    target.parent.mkdir()
    partial_path(target).write_bytes(CONTENT[:1000])
    with pytest.raises(DownloadError, match="another part of the file"):
        _fetch(server, tmp_path, "wrongpart")
    with pytest.raises(DownloadError, match="503"):
        _fetch(server, tmp_path, "down")
    assert partial_path(target).read_bytes() == CONTENT[:1000]


def test_a_length_that_never_comes_is_a_failure(server, tmp_path):
    with pytest.raises(DownloadError, match=rf"cut after {len(CONTENT)} of {len(CONTENT) + 500} bytes \(3 tries\)"):
        _fetch(server, tmp_path, "longnorange")
    assert _only(tmp_path / "case_00000") == [".download-imaging.nii.gz"]


def test_nobody_answers(tmp_path):
    with pytest.raises(DownloadError, match="no answer"):
        download("http://127.0.0.1:9/a.nii.gz", tmp_path / "a.nii.gz", check_gzip, QUICK)
    with pytest.raises(DownloadError, match="starts with http"):
        download("file:///etc/hostname", tmp_path / "a", None, QUICK)


def test_a_stop_is_heeded(server, tmp_path):
    stop = threading.Event()
    stop.set()
    with pytest.raises(DownloadError, match="was stopped"):
        download(f"{server.url}/plain/a", tmp_path / "a", None, Transfer(stop=stop))


def test_a_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / "case_00000").write_text("a file")
    with pytest.raises(OutputError, match="Cannot write"):
        _fetch(server, tmp_path, "plain")
