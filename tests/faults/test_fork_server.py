"""Workers of a Ray of our own are copies of a process that is ready; where that cannot be, they start on their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hpo.execution.ray.fork_server import available
from tests.faults.command import until

pytestmark = pytest.mark.skipif(not available(), reason="workers are forked on Linux alone")

DRIVER = """
import json, os, signal, sys
import ray
from hpo.execution.ray.own import own_ray

def told(**options):
    worker = ray.remote(num_cpus=1)(Worker).options(**options).remote()
    return ray.get(worker.tell.remote()), worker

class Worker:
    def tell(self):
        import numpy, random
        parent = open(f"/proc/{os.getppid()}/cmdline").read()
        return {
            "pid": os.getpid(),
            "server": os.getppid() if "fork_server" in parent else 0,
            "drawn": [numpy.random.rand(), random.random()],
            "mathematics": os.environ.get("OMP_NUM_THREADS"),
            "marks": sorted(name for name in os.environ if name.startswith("HPO_")),
            "mode": os.environ.get("MODE"),
            "nice": os.getpriority(os.PRIO_PROCESS, 0),
            "memory": int(open("/proc/self/oom_score_adj").read()),
            "own group": os.getpgid(0) == os.getpid(),
        }

with own_ray(sys.argv[1:], num_cpus=8, log_to_driver=False) as context:
    said = {}
    said["first"], one = told()
    said["second"], two = told()
    said["other environment"], three = told(runtime_env={"env_vars": {"MODE": "other"}})
    if said["first"]["server"]:
        os.kill(said["first"]["server"], signal.SIGKILL)
        said["without a server"], four = told()
    print(json.dumps(said), flush=True)
    sys.stdin.readline()  # a person's kill comes here
"""


def driver(folder: Path, *modules: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, *modules],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )


def answer(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_workers_are_copies_that_draw_their_own_numbers_and_start_alone_where_they_must(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("raise RuntimeError('whoever needs it is told')\n")
    with driver(tmp_path, "broken", "nowhere", "numpy") as process:
        said = answer(process)
        first, second = said["first"], said["second"]
        assert first["server"] == second["server"] != 0
        assert first["drawn"][0] != second["drawn"][0], "NumPy's generator was copied"
        assert first["drawn"][1] != second["drawn"][1], "Python's generator was copied"
        assert said["other environment"]["server"] == 0, "the imports did not see this environment"
        assert said["other environment"]["mode"] == "other"
        assert said["without a server"]["server"] == 0
        alone = said["without a server"]
        for same in ("mathematics", "marks", "nice", "memory", "own group"):
            assert first[same] == alone[same], same
        assert first["marks"] == []
        process.kill()  # the driver's end, without a word, is the end of all of them
    for who in said.values():
        until(partial(ended, who["pid"]))


def test_a_process_with_a_thread_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "restless.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    with driver(tmp_path, "restless") as process:
        said = answer(process)
        assert said["first"]["server"] == said["second"]["server"] == 0
        assert process.stdin is not None
        process.stdin.close()
