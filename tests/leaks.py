"""After each test no thread, process or connection is left: a fixture for the folders whose tests start them."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path

import pytest

from tests import processes

PATIENCE = 10.0
"""Seconds in which what was ended may go: processes die, and threads notice, a moment later."""


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Iterator[None]:
    """Check that the test leaves no thread that keeps the process alive, no child, and no open database of its own.

    A Ray of the suite lives on until the last test: its children are no leak.
    """
    resource_tracker.ensure_running()  # multiprocessing keeps one for the whole process from its first use on
    threads, children = set(threading.enumerate()), _children()
    yield
    end = time.monotonic() + PATIENCE
    while left := _threads(threads) + _new_children(children) + _databases(tmp_path):
        if time.monotonic() > end:
            break
        gc.collect()  # a store that nobody refers to any more closes itself (a third of a second: not after each test)
        time.sleep(0.05)
    assert not left, f"the test left {', '.join(left)}"


def _threads(before: set[threading.Thread]) -> list[str]:
    return [f"thread {t.name}" for t in threading.enumerate() if t not in before and not t.daemon and t.is_alive()]


def _new_children(before: set[int]) -> list[str]:
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        return []
    found = _children() - before - {processes.server()}
    return [f"process {pid} ({_name(pid)})" for pid in found if _name(pid)]


def _children() -> set[int]:
    found = set()
    for entry in Path("/proc/self/task").iterdir():
        try:
            found |= {int(pid) for pid in (entry / "children").read_text().split()}
        except OSError:
            continue  # the thread ended meanwhile
    return found


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _databases(folder: Path) -> list[str]:
    found = []
    for entry in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{entry}")
        except OSError:
            continue
        if target.startswith(f"{folder}/") and ".db" in Path(target).name:
            found.append(f"{Path(target).name} open")
    return found
