"""Garbage collection among real writers: what was acknowledged is readable, however often a collector is killed."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from itertools import groupby
from pathlib import Path

import pytest

import trackers
from tests.processes import start

SECONDS = 90.0
"""The longest that it takes until everything was seen."""

GRACE = 3.0
WRITER = """
import sys, time
from pathlib import Path
import trackers
from sqlalchemy import update
from trackers.clock import now_us
from trackers.sql import tables as t

url, folder, name = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
turn = 0
with trackers.connect(url, create=False) as store, open(folder / f"{name}.kept", "w") as kept:
    while not (folder / "over").exists():
        turn += 1
        # The same bytes come and go: most of them are unreachable for a while, then stored again by both writers.
        content = f"content {int(time.time() / 2) % 3} {turn % 40}"
        path = folder / f"{name}.txt"
        path.write_text(content)
        begun = time.monotonic()
        with store.start_run("writers") as run:
            run.log_artifact(path, "file")
        store.flush()
        took = time.monotonic() - begun
        if turn % 10 == 0:
            print(run.id, took, content, file=kept, flush=True)
            continue
        gone = update(t.runs).where(t.runs.c.id == run.id).values(deleted_at=now_us() - 10**13)
        store.writer.call(lambda connection: connection.execute(gone))
"""
COLLECTOR = """
import sys
from datetime import timedelta
import trackers

with trackers.connect(sys.argv[1], create=False) as store:
    print(store.gc(file_grace=timedelta(seconds=float(sys.argv[2]))).files)
"""


def test_no_acknowledged_file_is_lost_while_collectors_sweep_and_are_killed(store_url: str, tmp_path: Path) -> None:
    random.seed(1)
    trackers.connect(store_url, artifacts=str(tmp_path / "artifacts")).close()
    writers = [start(WRITER, store_url, tmp_path, f"w{n}") for n in range(2)]
    sweeps = killed = 0
    begun = time.monotonic()
    try:
        while sweeps < 3 or killed < 3 or not all(came_back(tmp_path / f"w{n}.kept") for n in range(2)):
            assert time.monotonic() < begun + SECONDS, f"{sweeps} sweeps, {killed} collectors killed"
            assert [writer.poll() for writer in writers] == [None, None]
            collector = start(COLLECTOR, store_url, GRACE)
            try:
                said, _ = collector.communicate(timeout=random.choice([random.uniform(0.05, 0.5), 60.0]))
                assert collector.returncode == 0
                sweeps += int(said) > 0
            except subprocess.TimeoutExpired:
                collector.send_signal(signal.SIGKILL)
                collector.communicate()
                killed += 1
    finally:
        (tmp_path / "over").touch()
        for writer in writers:
            writer.wait(60)
    assert [writer.returncode for writer in writers] == [0, 0]
    lines = [line.split(" ", 2) for n in range(2) for line in (tmp_path / f"w{n}.kept").read_text().splitlines()]
    if max(float(took) for _, took, _ in lines) > GRACE / 2:
        pytest.skip("this machine is too busy for a grace of seconds")
    with trackers.connect(store_url, create=False) as store:
        for run_id, _, content in lines:
            assert store.read_artifact(int(run_id), "file").decode() == content


def came_back(kept: Path) -> bool:
    """Tell whether a writer keeps files of its first contents again, and has gone on to the next ones since."""
    turns = [line.split()[3] for line in kept.read_text().splitlines()] if kept.exists() else []
    return len(list(groupby(turns))) >= 5
