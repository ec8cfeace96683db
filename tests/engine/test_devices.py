"""Jobs over devices: in this process on a CPU, else in processes of their own."""

from __future__ import annotations

import importlib
import os

import pytest
import torch

from nephro_monai.engine.devices import available_devices, spread
from nephro_monai.errors import NephroError

WORK = """
import os

from nephro_monai.errors import NephroError


def work(job, device, report):
    what, text = job
    if what == "refuse":
        raise NephroError(text)
    if what == "break":
        1 / 0
    if what == "leave":
        os._exit(3)
    report(text if what == "say" else device + " " + os.environ["CUDA_VISIBLE_DEVICES"])
"""


def test_a_cpu_does_one_after_another():
    done = []
    spread([1, 2, 3], lambda job, device, report: done.append((job, device, os.getpid())), ["cpu"], print)
    assert done == [(job, "cpu", os.getpid()) for job in (1, 2, 3)]


def test_errors_of_the_only_process_come_out_as_they_are():
    def fail(job, device, report):
        raise KeyError(job)

    with pytest.raises(KeyError):
        spread(["a"], fail, ["cpu"], print)


def test_cuda_devices_are_found_and_limited(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert available_devices("cuda") == ["cuda:0", "cuda:1", "cuda:2"]
    assert available_devices("auto", 2) == ["cuda:0", "cuda:1"]
    assert available_devices("cuda:2") == ["cuda:2"]
    assert available_devices("cpu") == ["cpu"]
    with pytest.raises(NephroError, match=r"--devices 4 .*there are 3"):
        available_devices("cuda", 4)


def test_a_cpu_is_one_device():
    with pytest.raises(NephroError, match="one after another"):
        available_devices("cpu", 2)


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """A module that processes can import: `jobs.work` says, refuses, breaks, or tells a variable of its environment."""
    (tmp_path / "spread_jobs.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("spread_jobs")


def test_processes_report_and_fail_without_stopping_the_others(jobs):
    heard = []
    listed = [("say", "hello"), ("refuse", "no such data"), ("break", ""), ("say", "still here"), ("leave", "")]
    with pytest.raises(NephroError) as caught:
        spread(listed, jobs.work, ["cpu", "cpu"], heard.append)
    assert all(word in str(caught.value) for word in ("no such data", "ZeroDivisionError", "ended with code 3"))
    assert sorted(heard) == ["hello", "still here"]


def test_a_process_sees_its_own_device_only(jobs, monkeypatch):
    heard = []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    spread([("tell", "")] * 2, jobs.work, ["cuda:1"], heard.append)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    spread([("tell", "")], jobs.work, ["cuda:2"], heard.append)
    assert heard == ["cuda 7", "cuda 7", "cuda 2"]
