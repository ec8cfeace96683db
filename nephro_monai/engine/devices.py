"""Spreads jobs over the devices there are, one job per device at a time."""

from __future__ import annotations

import os
import queue
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import torch

from nephro_monai.engine.environment import resolve_device
from nephro_monai.errors import NephroError

__all__ = ["Work", "available_devices", "spread"]

Report = Callable[[str], None]
Work = Callable[[Any, str, Report], None]
"""Called with the job, the name of the device, and a function that is told what happens."""

_VISIBLE = "CUDA_VISIBLE_DEVICES"


def available_devices(device: str = "auto", count: int | None = None) -> list[str]:
    """The devices that jobs are spread over: CUDA devices, or the one CPU.

    Args:
        device: auto, cpu, cuda, or one of several such as cuda:1.
        count: How many CUDA devices at most; None for all.

    Raises:
        NephroError: If CUDA is asked for and there is none, or `count` exceeds what there is.
    """
    chosen = resolve_device(device)
    if chosen.type != "cuda":
        present = ["cpu"]
    elif ":" in str(chosen):
        present = [str(chosen)]
    else:
        present = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if count is not None and not 1 <= count <= len(present):
        raise NephroError(
            f"--devices {count} is not possible: there {'is' if len(present) == 1 else 'are'} {len(present)} "
            f"({', '.join(present)}). On a CPU folds run one after another."
        )
    return present[:count]


def spread(jobs: Sequence[Any], work: Work, devices: Sequence[str], report: Report) -> None:
    """Does all jobs: one after another on a single CPU, else in processes of their own, one per device at a time.

    A process sees its own CUDA device only, under the name "cuda". A job that fails does not stop the others; its error
    is raised when all are through.

    Args:
        jobs: What to do; they travel to the processes.
        work: Does one; it must be importable.
        devices: From `available_devices`.
        report: Told what happens, from several threads.

    Raises:
        NephroError: If a job failed in its process.
    """
    if list(devices) == ["cpu"]:
        for job in jobs:
            work(job, "cpu", report)
        return
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    with ThreadPoolExecutor(len(devices)) as pool:
        failures = [text for texts in pool.map(lambda d: _drain(waiting, work, d, report), devices) for text in texts]
    if failures:
        raise NephroError(" ".join(failures))


def _drain(waiting: queue.SimpleQueue[Any], work: Work, device: str, report: Report) -> list[str]:
    """Does jobs on one device until none is left; what went wrong, in sentences."""
    failures: list[str] = []
    while True:
        try:
            job = waiting.get_nowait()
        except queue.Empty:
            return failures
        failures += _in_process(job, work, device, report)


def _in_process(job: Any, work: Work, device: str, report: Report) -> list[str]:
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(job, work, device, sender))
    process.start()
    sender.close()
    failures: list[str] = []
    while True:
        try:
            kind, text = receiver.recv()
        except EOFError:
            break
        if kind == "failed":
            failures.append(text)
        else:
            report(text)
    process.join()
    if process.exitcode and not failures:
        failures.append(f"A process on {device} ended with code {process.exitcode}.")
    return failures


def _child(job: Any, work: Work, device: str, sender: Connection) -> None:
    kind, _, index = device.partition(":")
    if kind == "cuda":
        visible = os.environ.get(_VISIBLE, "").split(",") if os.environ.get(_VISIBLE) else None
        os.environ[_VISIBLE] = visible[int(index)] if visible else index  # before CUDA is used in this process
    try:
        work(job, kind, lambda text: sender.send(("text", text)))
    except NephroError as error:
        sender.send(("failed", str(error)))
    except Exception:
        sender.send(("failed", traceback.format_exc()))
    finally:
        sender.close()
