"""Makes a study's manager from what is stored, in whatever process it shall run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import trackers
from hpo import engine as eng
from hpo.driver.order import Order, TrialDone
from hpo.driver.takeover import end_processes
from hpo.execution.port import Executor
from hpo.manager import Manager, Plan
from hpo.manager.files import Files
from hpo.manager.pulse import Pulse
from hpo.ranking.kept import Keeper
from hpo.sampling import make_pruner, make_sampler
from hpo.settings import CHOSEN
from hpo.space import Space
from hpo.trial import StudyFacts
from trackers.changes import StudyChanged
from trackers.errors import StoreAwayError
from trackers.store import PATIENCE

if TYPE_CHECKING:
    from hpo.sampling import Pruner, Sampler
    from trackers.store import Store
    from trackers.values import StudyRow


def make_manager(order: Order, executor: Callable[[int], Executor]) -> Manager:
    """Take the study's lease and make its manager from what is stored.

    *executor* is given the epoch. Raises StudyBusyError where a living manager owns the study.
    """
    with ExitStack() as undone:
        store = undone.enter_context(trackers.connect(order.storage))
        row = store.get_study(order.study_id)
        space = None if row.space is None else Space.from_json(row.space)
        sampler, pruner = _methods(order, row, space)
        lease = store.acquire_study(row.id, lease_seconds=order.lease_seconds, on_previous=end_processes)
        undone.callback(lease.release, "stopped", "it could not start")
        row = lease.study  # as it is now that nobody else writes it
        pulse = Pulse(lease)
        undone.callback(pulse.stop)
        stale = [command.id for command in lease.renew()]  # meant for a manager that is gone
        pulse.start()
        trials = store.get_trials(row.id)
        sampler.load_study_attrs(row.system_attrs)
        pruner.load_study_attrs(row.system_attrs)
        models = store.list_logged_models([t.run_id for t in trials if t.model]) if trials else []
        manager = Manager(
            lease,
            _plan(order, row, space, store, len(trials), sampler, pruner),
            sampler,
            pruner,
            executor(lease.epoch),
            trials,
            models,
            new_id=_ids(store),
            pulse=pulse,
            files=Files(store.artifacts),
            stale=stale,
            sweep=store.drop_unreferenced,
            closing=store.close,
        )
        undone.pop_all()
        return manager


def _methods(order: Order, row: StudyRow, space: Space | None) -> tuple[Sampler, Pruner]:
    sampler = make_sampler(
        order.sampler,
        space=space,
        directions=row.directions,
        seed=row.seed,
        total_trials=order.total,
        workers=max(1, order.workers * order.slots),
    )
    return sampler, make_pruner(order.pruner, directions=row.directions, total_trials=order.total, study_name=row.name)


def _plan(
    order: Order, row: StudyRow, space: Space | None, store: Store, started: int, sampler: Sampler, pruner: Pruner
) -> Plan:
    return Plan(
        facts=_facts(row, space, store),
        limits=_limits(order),
        workers=order.workers * order.slots,
        cpus=order.need.cpus if order.need else 1.0,
        gpus=order.need.gpus if order.need else 0.0,
        ask=None if order.ask is None else partial(order.ask, store, order.study_id),
        done=[_bound(callback, store, order.study_id) for callback in order.callbacks],
        keeper=None if order.keep_models == "all" else Keeper(order.keep_models, row.directions),  # type: ignore[arg-type]
        launch=order.launch,
        changes=StudyChanged(
            total_trials=None if order.total is None else max(order.total, started),
            settings=order.settings,
            code=order.code,
            launch=order.launch,
            system_attrs=_chosen(row, sampler, pruner),
        ),
    )


def _chosen(row: StudyRow, sampler: Sampler, pruner: Pruner) -> dict[str, Any] | None:
    """Return what to keep of the automatic choices; None where nothing was, or is, chosen."""
    notes = {name: note for name, note in (("sampler", sampler.note), ("pruner", pruner.note)) if note}
    return {CHOSEN: notes} if notes or CHOSEN in row.system_attrs else None


def _facts(row: StudyRow, space: Space | None, store: Store) -> StudyFacts:
    return StudyFacts(
        row.name,
        row.directions,
        row.metric_names,
        row.seed,
        {} if space is None else space.distributions(),
        store.artifact_root,
        store.identity.uid,
    )


def _limits(order: Order) -> eng.Limits:
    return eng.Limits(
        total=order.total,
        max_retries=order.max_retries,
        trial_timeout=order.trial_timeout,
        report_timeout=order.report_timeout,
        deadline=None if order.timeout is None else time.monotonic() + order.timeout,
    )


def _bound(callback: TrialDone, store: Store, study_id: int) -> Callable[[int], None]:
    def done(number: int) -> None:
        callback(store, study_id, number)

    done.__name__ = getattr(callback, "__name__", type(callback).__name__)
    return done


def _ids(store: Store) -> Callable[[], tuple[int, str]]:
    """Hand out run ids from blocks of the store's counter."""
    block: Iterator[int] = iter(())

    def new_id() -> tuple[int, str]:
        nonlocal block
        number = next(block, None)
        if number is None:
            block = iter(_patiently(lambda: store.allocate_ids(256)))
            number = next(block)
        return number, store.new_uid()

    return new_id


def _patiently(take: Callable[[], Iterable[int]]) -> Iterable[int]:
    """Take ids; while the store is away wait for it, as what the manager writes does."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return take()
        except StoreAwayError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1.0)  # there is nothing to wait on: the store is another machine's
