"""A Ray of our own: without the processes that nobody asks anything, its workers forked from one that is ready."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from hpo.execution.ray import launcher
from hpo.execution.ray.fork_server import forked_workers

ALWAYS = (
    "ray._private.workers.default_worker",
    "ray.util.serialization_addons",
    "pyarrow",  # Ray's serialization imports it wherever it is installed
    "hpo.execution.ray.host",
    "hpo.execution.ray.worker",
)
"""What every worker imports, whatever its trials do."""


@contextmanager
def own_ray(modules: Sequence[str] | None, **options: Any) -> Iterator[Any]:
    """Start a Ray with these *options* of ``ray.init`` on this machine; it ends with the block. Yield its context.

    Its workers begin as copies of a process that has imported *modules* (None: each starts on its own).
    """
    import ray

    with ExitStack() as stack:
        server = None
        if modules is not None and sys.platform == "linux":
            with suppress(OSError):  # no place for its socket, no memory: workers start without it
                server = stack.enter_context(forked_workers([*ALWAYS, *modules]))
        stack.callback(ray.shutdown)
        with _lean(), _launched(server):
            # "local", whatever RAY_ADDRESS says: --address auto is for that
            context = ray.init(address="local", include_dashboard=False, **options)
        yield context


@contextmanager
def _lean() -> Iterator[None]:
    """Leave out three processes of a Ray of our own that nobody asks anything: a third of what its start takes is theirs.

    The server of the dashboard, which Ray starts and waits for also where there is to be none; what carries the prints
    of workers to a driver that does not want them; what would add nodes. A Ray that calls them otherwise starts them.
    """
    node: Any = import_module("ray._private.node").Node
    names = ("start_api_server", "start_log_monitor", "start_monitor")
    left_out = {name: getattr(node, name) for name in names if hasattr(node, name)}
    for name in left_out:
        setattr(node, name, lambda self, **options: None)
    try:
        yield
    finally:
        for name, method in left_out.items():
            setattr(node, name, method)


@contextmanager
def _launched(server: Path | None) -> Iterator[None]:
    """Have the raylet that is started in the block start ``launcher`` for each worker, which asks *server* for it."""
    node: Any = import_module("ray._private.node").Node
    start = node.start_raylet
    if server is None:
        yield
        return

    def start_raylet(self: Any, *args: Any, **kwargs: Any) -> Any:
        os.environ[launcher.DEFAULT_WORKER] = self._ray_params.worker_path
        os.environ[launcher.SERVER] = str(server)
        self._ray_params.worker_path = launcher.__file__
        return start(self, *args, **kwargs)

    node.start_raylet = start_raylet
    try:
        yield
    finally:
        node.start_raylet = start
        os.environ.pop(launcher.DEFAULT_WORKER, None)
        os.environ.pop(launcher.SERVER, None)
