import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trackers.artifacts import ArtifactStore

WRITER = """
import os, sys
from trackers.artifacts import ArtifactStore
store = ArtifactStore(sys.argv[1])
n = 0
while True:
    digest, size = store.put_bytes(n.to_bytes(4, 'big') + bytes(2_000_000))
    print(digest, flush=True)
    n += 1
"""


@pytest.mark.parametrize("acknowledged", [1, 4])
def test_a_writer_killed_at_any_moment_loses_nothing_that_it_acknowledged(tmp_path: Path, acknowledged: int) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    digests = [writer.stdout.readline().strip() for _ in range(acknowledged)]
    os.kill(writer.pid, signal.SIGKILL)
    digests += writer.stdout.read().split()
    writer.wait()
    writer.stdout.close()
    store = ArtifactStore(tmp_path)
    assert set(digests) <= set(store.digests())
    for digest in store.digests():  # also what was stored and not acknowledged any more is whole
        assert hashlib.sha256(store.read(digest)).hexdigest() == digest
