"""Brings up workers as Ray actors, watches them, ends them. Runs in the manager's process."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from importlib import import_module
from typing import Any

from hpo.execution.port import Gone, Post
from hpo.execution.ray.death import Traces, why
from hpo.execution.ray.session import Need
from hpo.execution.ray.wire import Door
from hpo.execution.ray.worker import RayWorker
from hpo.execution.worker import Job


class RayExecutor:
    """Keeps *workers* actors of *slots* slots alive, until ``close``.

    *manager* is the handle of the manager's own actor; *load* makes the job in the worker. Processes are started a few
    at a time: started all at once, each waits for the others' imports, and the first trial begins when the last does.
    The first few start with ``prepare``, before there is a manager that they could join. Thread-safe.
    """

    name = "ray"

    def __init__(self, manager: Any, load: Callable[[], Job], workers: int, slots: int, need: Need) -> None:
        self._manager, self._load, self._workers, self._slots = manager, load, workers, slots
        self._need, self._epoch = need, 0
        self._door: Door | None = None
        self._lock = threading.Lock()
        self._ready: deque[Any] = deque()
        self._alive: dict[str, tuple[Any, Any]] = {}
        self._traces: dict[str, Any] = {}
        self._reasons: dict[str, str] = {}
        self._starting: set[str] = set()
        self._at_once = 2
        self._made = 0
        self._closed = False
        self._gone: Gone | None = None
        self._woken = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="hpo-workers", daemon=True)

    def prepare(self) -> None:
        """Start the first processes, which import what they need while the manager does the same."""
        import ray

        self._door = _door()
        self._load_ref = ray.put(self._load)
        self._at_once = starting_at_once()
        self._ready.extend(self._start() for _ in range(min(self._workers, self._at_once)))

    def of_epoch(self, epoch: int) -> RayExecutor:
        """Work for the manager of this *epoch*: it is in the workers' names."""
        self._epoch = epoch
        return self

    def begin(self, post: Post, gone: Gone) -> None:
        """Bring up the workers; their messages go to *post*, or through the manager's actor."""
        self._gone = gone
        if self._door is not None:
            self._door.open(post)
        self._fill()
        self._watcher.start()

    def joined(self, worker: str) -> None:
        """Start the next one."""
        with self._lock:
            self._starting.discard(worker)
        self._fill()

    def _fill(self) -> None:
        with self._lock:
            while not self._closed and len(self._alive) < self._workers and len(self._starting) < self._at_once:
                self._make()

    def _make(self) -> None:
        name = f"w{self._epoch}-{self._made}"
        self._made += 1
        actor = self._ready.popleft() if self._ready else self._start()
        self._traces[name] = actor.traces.remote()
        self._alive[name] = (actor, actor.run.remote(name))
        self._starting.add(name)

    def _start(self) -> Any:
        import ray

        options = self._need.options(self._slots) | {"max_restarts": 0, "max_task_retries": 0}
        worker: Any = ray.remote(RayWorker)
        address = None if self._door is None else self._door.address
        actor = worker.options(**options).remote(self._manager, self._slots, address)
        actor.load.remote(self._load_ref)
        return actor

    def _watch(self) -> None:
        import ray

        while True:
            with self._lock:
                if self._closed:
                    return
                runs = {run: name for name, (_, run) in self._alive.items()}
            if not runs:
                self._woken.wait(0.5)
                continue
            done, _ = ray.wait(list(runs), num_returns=1, timeout=0.5)
            for run in done:
                self._ended(runs[run], run)

    def _ended(self, name: str, run: Any) -> None:
        import ray

        try:
            ray.get(run)
            reason = None
        except Exception as exc:  # noqa: BLE001 - whatever Ray says: the worker is gone
            reason = self._why(name, exc)
        with self._lock:
            actor, _ = self._alive.pop(name, (None, None))
            known = self._reasons.pop(name, None)
            self._traces.pop(name, None)
            self._starting.discard(name)
        if reason is None:
            if actor is not None:
                ray.kill(actor)  # dismissed: its process has nothing left to do
            return
        if self._gone is not None:
            self._gone(name, known or reason)
        self._fill()

    def _why(self, name: str, exc: BaseException) -> str:
        import ray

        try:
            traces = ray.get(self._traces[name], timeout=0.1)
        except Exception:  # noqa: BLE001 - it died before it could say, or its node is gone: then nothing is known
            traces = Traces()
        try:
            return why(exc, traces)
        except Exception as fault:  # noqa: BLE001 - the watcher must go on: without it no loss is ever noticed
            return f"its process ended ({type(exc).__name__}; its traces cannot be read: {fault})"

    def kill(self, worker: str, reason: str) -> None:
        """End a worker's process."""
        import ray

        with self._lock:
            actor, _ = self._alive.get(worker, (None, None))
            self._reasons[worker] = reason
        if actor is not None:
            ray.kill(actor, no_restart=True)

    def close(self) -> None:
        """End every worker."""
        import ray

        with self._lock:
            self._closed = True
            actors = [*self._ready, *(actor for actor, _ in self._alive.values())]
            self._ready.clear()
            self._alive.clear()
        self._woken.set()
        if self._door is not None:
            self._door.close()
        for actor in actors:
            ray.kill(actor, no_restart=True)


def _door() -> Door | None:
    """Listen where the nodes of the cluster know this one; None where that cannot be: calls go through Ray then.

    They do where Ray is told to encrypt what it sends, too.
    """
    if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
        return None
    util: Any = import_module("ray.util")
    try:
        return Door(util.get_node_ip_address())
    except OSError:
        return None


def starting_at_once() -> int:
    """Return how many worker processes may start at the same time: about as many as the cluster has cores.

    A node says how many logical CPUs it has, which may be more than its cores; of our own node we know the cores.
    """
    import ray

    described: Any = ray.nodes  # untyped in Ray
    here = ray.get_runtime_context().get_node_id()
    cores = 0
    for node in described():
        if node["Alive"]:
            cores += (os.cpu_count() or 1) if node["NodeID"] == here else int(node["Resources"].get("CPU", 1))
    return cores + 1
