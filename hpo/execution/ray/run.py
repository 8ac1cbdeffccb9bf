"""Runs a study on Ray from the driver's side: start the manager's actor, watch it, pass interruptions on."""

from __future__ import annotations

import socket
from collections.abc import Callable
from importlib import import_module
from typing import Any

from hpo.errors import ClusterError, NodeGoneError
from hpo.execution.ray.host import Factory, ManagerHost
from hpo.execution.ray.session import NAMESPACE
from hpo.progress import Progress

GRACE = 10.0

LOOK = 2.0
"""Seconds without an answer after which it is looked whether Ray is still there."""


class RayRun:
    """A manager that runs as an actor named *name* on this driver's node.

    *detached*: it outlives this process (on a cluster that does).
    """

    def __init__(self, name: str, factory: Factory, *, detached: bool = False) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = ray.get_runtime_context().get_node_id()
        options: dict[str, Any] = {
            "name": name,
            "namespace": NAMESPACE,
            "num_cpus": 0,
            "max_concurrency": 10_000,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(here, soft=False),
        }
        if detached:
            options["lifetime"] = "detached"
        host: Any = ray.remote(ManagerHost)  # Ray's types know a method of an actor only by its own decorator
        self._actor = host.options(**options).remote()
        try:
            self.pid: int = patient_get(self._actor.begin.remote(factory, self._actor, detached))
        except BaseException as exc:  # Ctrl-C too: a manager that nobody watches must not go on
            self.close()
            if isinstance(exc, ray.exceptions.RayTaskError):
                raise (exc.cause if isinstance(exc.cause, Exception) else exc) from None
            if isinstance(exc, ray.exceptions.RayActorError):
                raise ClusterError("the study's manager died while it started") from exc
            raise

    def wait(self, timeout: float) -> tuple[bool, Any]:
        """Wait up to *timeout* seconds for the end; return whether it came, and the summary. Raises what ended it."""
        import ray

        try:
            over, outcome = patient_get(self._actor.result.remote(timeout))
        except ray.exceptions.RayActorError as exc:
            raise ClusterError("the study's manager died") from exc
        if isinstance(outcome, BaseException):
            raise outcome
        return over, outcome

    def progress(self) -> Progress | None:
        """Return where the study is."""
        import ray

        try:
            progress: Progress | None = patient_get(self._actor.progress.remote())
        except ray.exceptions.RayActorError as exc:
            raise ClusterError("the study's manager died") from exc
        return progress

    def stop(self, reason: str, grace: float = GRACE) -> None:
        """Ask for a stop; does not wait."""
        self._actor.stop.remote(reason, grace)

    def close(self) -> None:
        """End the actor, and with it its workers."""
        import ray

        ray.kill(self._actor, no_restart=True)


def patient_get(reference: Any) -> Any:
    """Wait for what *reference* stands for, as long as there is a Ray on this machine that could bring it.

    Raises NodeGoneError where there is none any more: Ray itself would wait for ever.
    """
    import ray

    while True:
        try:
            return ray.get(reference, timeout=LOOK)
        except ray.exceptions.GetTimeoutError:
            if not node_lives():
                raise NodeGoneError from None


def node_lives() -> bool:
    """Tell whether this machine's raylet takes connections; a client of Ray (``ray://``) has none, and waits."""
    worker: Any = import_module("ray._private.worker")
    node = worker._global_node
    path = None if node is None else node.raylet_socket_name
    if not path:
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(LOOK)
        try:
            probe.connect(path)
        except TimeoutError:
            return True  # busy, not gone
        except OSError:
            return False
    return True


OnProgress = Callable[[Progress], None]
