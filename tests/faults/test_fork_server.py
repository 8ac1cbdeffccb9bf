"""Workers of a Ray of our own are copies of a process that is ready; where that cannot be, they start on their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hpo.execution.ray import launcher
from hpo.execution.ray.fork_server import forked_workers
from tests.faults.command import until
from tests.processes import Beside

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")

DRIVER = """
import json, os, signal, sys
import ray
from hpo.execution.ray.own import own_ray

def told(**options):
    worker = ray.remote(num_cpus=1)(Worker).options(**options).remote()
    return ray.get(worker.tell.remote()), worker

class Worker:
    def tell(self):
        import numpy, random, resource
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
            "open files": resource.getrlimit(resource.RLIMIT_NOFILE),
            "switches": [sys.flags.safe_path, sys.path[:1]],
        }

with own_ray(sys.argv[1:], num_cpus=8, log_to_driver=False) as context:
    said = {}
    said["first"], one = told()
    said["second"], two = told()
    said["other environment"], three = told(runtime_env={"env_vars": {"MODE": "other"}})
    if said["first"]["server"]:
        os.kill(said["first"]["server"], signal.SIGKILL)
        while "without a server" not in said:
            try:
                said["without a server"], four = told()
            except ray.exceptions.RayActorError:
                pass  # Ray gave it a process that has ended with the server
    print(json.dumps(said), flush=True)
    sys.stdin.readline()  # a person's kill comes here
"""


def driver(folder: Path, *modules: str) -> Beside[str]:
    return Beside(
        [sys.executable, "-c", DRIVER, *modules],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )


def answer(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return json.loads(next(line for line in process.stdout if line.startswith("{")))  # Ray prints too


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
        for same in ("mathematics", "marks", "nice", "memory", "own group", "open files", "switches"):
            assert first[same] == alone[same], same
        assert first["marks"] == []
        for who in first, second:  # they ended with the server: trials would be queued again
            until(partial(ended, who["pid"]))
        process.kill()  # the driver's end, without a word, is the end of all of them
    for who in said.values():
        until(partial(ended, who["pid"]))


def test_a_driver_that_is_killed_leaves_no_folder(tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    program = HANGING.replace('"hanging"', '"json"')
    with Beside([sys.executable, "-c", program], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        assert len(list(tmp_path.iterdir())) == 1
        server = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
        until(lambda: "S" in Path(f"/proc/{server}/stat").read_text().rpartition(")")[2][:3])  # it serves
        process.kill()
    until(partial(ended, server))
    until(lambda: not list(tmp_path.iterdir()))


def test_a_process_with_a_thread_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "restless.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    with driver(tmp_path, "restless") as process:
        said = answer(process)
        assert said["first"]["server"] == said["second"]["server"] == 0
        assert process.stdin is not None
        process.stdin.close()


def launched(server: Path, script: Path, folder: Path) -> Any:
    """Have the launcher start *script* in a worker's place; return what it prints, as JSON."""
    env = {**os.environ, launcher.SERVER: str(server), launcher.DEFAULT_WORKER: str(script)}
    command = [sys.executable, launcher.__file__]
    return json.loads(subprocess.run(command, env=env, cwd=folder, capture_output=True, check=True, timeout=60).stdout)


def test_a_package_that_is_not_the_drivers_is_left_to_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "worker.py"
    script.write_text("import json, sys\nprint(json.dumps([name in sys.modules for name in ('joblib', 'numpy')]))\n")
    other = ModuleType("joblib")
    other.__file__ = str(tmp_path / "joblib.py")
    monkeypatch.setitem(sys.modules, "joblib", other)
    with forked_workers(["joblib", "numpy"]) as server:
        assert launched(server, script, tmp_path) == [False, True]
    assert launched(server, script, tmp_path) == [False, False], "the server is gone: it starts on its own"


HANGING = """
from hpo.execution.ray.fork_server import forked_workers
with forked_workers(["hanging"]):
    print("there", flush=True)
    input()
"""


def test_an_import_that_hangs_does_not_outlive_the_driver(tmp_path: Path) -> None:
    (tmp_path / "hanging.py").write_text(
        f"import time\nopen({str(tmp_path / 'hangs')!r}, 'w').close()\ntime.sleep(600)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with Beside([sys.executable, "-c", HANGING], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        until((tmp_path / "hangs").exists)
        server = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
        assert not ended(server)
        process.kill()
    until(partial(ended, server))


def test_without_a_place_for_its_socket_workers_start_without_it(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    with pytest.raises(OSError, match="AF_UNIX path too long"), forked_workers_in(deep):
        pass


@contextmanager
def forked_workers_in(folder: Path) -> Iterator[Path]:
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        with forked_workers([]) as path:
            yield path
    finally:
        tempfile.tempdir = before
