"""Garbage collection among real writers: what was acknowledged is readable, however often a collector is killed."""

from __future__ import annotations

import random
import signal
import subprocess
from pathlib import Path

import pytest

import trackers
from tests.processes import start

SECONDS = 15.0
GRACE = 3.0
WRITER = """
import sys, time
from pathlib import Path
import trackers
from sqlalchemy import update
from trackers.clock import now_us
from trackers.sql import tables as t

url, folder, name, seconds = sys.argv[1], Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])
end, turn = time.monotonic() + seconds, 0
with trackers.connect(url, create=False) as store, open(folder / f"{name}.kept", "w") as kept:
    while time.monotonic() < end:
        turn += 1
        # The same bytes come and go: most of them are unreachable for a while, then stored again by both writers.
        content = f"content {int(time.time() / 4) % 3} {turn % 40}"
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
    writers = [start(WRITER, store_url, tmp_path, f"w{n}", SECONDS) for n in range(2)]
    swept = killed = 0
    try:
        while any(writer.poll() is None for writer in writers):
            collector = start(COLLECTOR, store_url, GRACE)
            try:
                said, _ = collector.communicate(timeout=random.choice([1.5, 60.0, 60.0]))
                assert collector.returncode == 0
                swept += int(said)
            except subprocess.TimeoutExpired:
                collector.send_signal(signal.SIGKILL)
                collector.communicate()
                killed += 1
    finally:
        for writer in writers:
            writer.wait(60)
    assert [writer.returncode for writer in writers] == [0, 0]
    lines = [line.split(" ", 2) for n in range(2) for line in (tmp_path / f"w{n}.kept").read_text().splitlines()]
    if max(float(took) for _, took, _ in lines) > GRACE / 2:
        pytest.skip("this machine is too busy for a grace of seconds")
    with trackers.connect(store_url, create=False) as store:
        for run_id, _, content in lines:
            assert store.read_artifact(int(run_id), "file").decode() == content
    assert swept > 0, f"nothing was swept ({killed} collectors were killed)"
