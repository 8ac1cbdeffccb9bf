"""Runs a study on Ray, from the driver's side."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import uuid4

import trackers
from hpo.driver.crowd import Crowd
from hpo.driver.interruption import Interruption, interruptions
from hpo.driver.making import make_manager
from hpo.driver.order import OnProgress, Order, RunSummary, summarize
from hpo.errors import ClusterError, NodeGoneError, NoRoomError
from hpo.jobs import with_args
from hpo.manager import Manager

NEEDED = ("hpo.driver.cluster", "hpo.execution.ray.executor")
"""What the manager imports in its process."""

PRELOADED = frozenset(
    ("alembic", "joblib", "numpy", "optuna", "pandas", "psycopg", "pymysql", "scipy", "sklearn", "sqlalchemy", "torch")
)
"""Packages that may be imported before a process is copied: they start no thread and open nothing until they are used."""

OF_A_DEVICE = frozenset(("torch",))
"""Those of them that may look at the devices of a trial: left to its own process where trials have GPUs."""

RESTARTS = 3
"""How often a manager that died is replaced while its driver lives."""


@dataclass(frozen=True)
class RayFactory:
    """Makes the manager in its actor."""

    order: Order

    def __call__(self, handle: Any) -> Manager:
        """Take the lease; the workers will call *handle*."""
        from hpo.execution.ray.executor import RayExecutor
        from hpo.execution.ray.session import Need

        order = self.order
        executor = RayExecutor(handle, order.load, order.workers, order.slots, order.need or Need())
        executor.prepare()
        try:
            return make_manager(order, executor.of_epoch)
        except BaseException:
            executor.close()
            raise


def run_on_ray(order: Order, args: Mapping[str, Any], on_progress: OnProgress | None = None) -> RunSummary:
    """Run the study on a Ray cluster: *args* go to the object store once."""
    from hpo.execution.ray.args import hold
    from hpo.execution.ray.session import Need, check_address, check_capacity, check_workers, session

    need = order.need or Need()
    order = replace(order, workers=enough_workers(order))
    if order.address is not None:
        check_address(order.address, order.storage)
    check_workers(order.workers, order.address)
    # NumPy takes as many threads as a worker has CPUs, and keeps to that from its import on
    ahead = [*NEEDED, *imported(need.gpus)] if need.cpus * order.slots < 2 else None
    with session(order.address, order.workers * order.slots, need, ahead) as own:
        check_capacity(need, order.slots)
        if args:
            order = replace(order, load=with_args(order.load, hold(args)))
        return _drive(order, on_progress, own=own)


def imported(gpus: float = 0.0) -> list[str]:
    """Return what this process has of our store and of the packages in PRELOADED: workers will import the same."""
    ahead = PRELOADED - OF_A_DEVICE if gpus else PRELOADED
    return [name for name in list(sys.modules) if name.split(".")[0] in ahead or name.startswith("trackers.sql")]


def enough_workers(order: Order) -> int:
    """Return how many worker processes there is work for: a process costs half a second of a core to start."""
    if order.total is None:
        return order.workers
    with trackers.connect(order.storage) as store:
        counts = store.count_trials(order.study_id)
    left = order.total - sum(n for state, n in counts.items() if state.is_finished())
    return max(1, min(order.workers, -(-left // order.slots)))


def _drive(order: Order, on_progress: OnProgress | None, *, own: bool) -> RunSummary:
    begun = time.monotonic()
    for restart in range(RESTARTS + 1):
        left = order.timeout if order.timeout is None else max(0.001, order.timeout - (time.monotonic() - begun))
        try:
            return _drive_once(order if restart == 0 else replace(order, timeout=left), on_progress, own=own)
        except NodeGoneError as exc:  # where would another manager run?
            raise NodeGoneError(
                "Ray on this machine died: nothing that was shown as done is lost; resume the study, and it goes on"
            ) from exc
        except NoRoomError:
            raise
        except ClusterError:
            if restart == RESTARTS:
                raise
    raise AssertionError("unreachable")


def _drive_once(order: Order, on_progress: OnProgress | None, *, own: bool) -> RunSummary:
    """Run one manager to its end, on a Ray of our *own* or not.

    Raises ClusterError where it died, unless it was told to end anyway.
    """
    from hpo.execution.ray.run import RayRun

    with trackers.connect(order.storage) as store:
        row = store.get_study(order.study_id)
    crowd = None if own else Crowd(order, shown=on_progress is not None)
    # The lease decides between two drivers; their actors' names must not collide.
    run = RayRun(f"hpo-manager-{row.uid}-{row.epoch + 1}-{uuid4().hex[:8]}", RayFactory(order), detached=order.detach)
    if order.detach:
        return RunSummary("running", f"it runs on the cluster at {order.address} by itself")
    interruption = Interruption()
    try:
        with interruptions(partial(run.stop, "interrupted")) as interruption:
            over = False
            while not over:
                over, summary = run.wait(0.2)
                progress = run.progress()
                if crowd is not None and progress is not None and not over:
                    progress = crowd.noted(progress)
                if on_progress is not None and progress is not None:
                    on_progress(progress)
        return summarize(summary, interruption.count > 0)
    except NoRoomError as exc:
        run.stop(str(exc), 0.0)
        run.wait(5.0)
        raise
    except ClusterError as exc:
        if not interruption.count:
            raise
        return RunSummary("interrupted", str(exc))
    finally:
        run.close()
