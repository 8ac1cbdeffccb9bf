"""The store that is meant where none is named: ``HPO_STORAGE``, else ``hpo.db`` in the current folder."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import ref

from trackers.active import STARTING, ActiveRun, Logging, active_run
from trackers.states import RunState
from trackers.values import ParamValue
from trackers.wording import hinting

if TYPE_CHECKING:
    from trackers.store import Store

_lock = threading.Lock()
_stores: dict[tuple[str, int], Store] = {}


def default_url() -> str:
    """Return the URL of the default store; a relative file is that of the current folder."""
    url = os.environ.get("HPO_STORAGE", "").strip() or "sqlite:///hpo.db"
    scheme, separator, path = url.partition(":///")
    if separator and scheme.startswith("sqlite"):
        return f"{scheme}:///{os.path.abspath(os.path.expanduser(path))}"
    return url


def default_store() -> Store:
    """Return the default store, connected once a process; it is closed with the process."""
    from trackers.store import connect

    key = default_url(), os.getpid()
    with _lock:
        if key not in _stores or _stores[key].closed:
            _stores[key] = connect(key[0])
        return _stores[key]


@hinting(**STARTING)
def start_run(
    experiment: str | None = None,
    *,
    name: str = "",
    params: Mapping[str, ParamValue] | None = None,
    tags: Mapping[str, str] | None = None,
    parent: Any = None,
    nested: bool = False,
    system_metrics: bool | float = False,
) -> ActiveRun | Logging:
    """Start a run in the default store and make it the active one until it ends; see ``Store.start_run``.

    It ends with its ``with`` block, by ``end_run``, or with the process (as FAIL where an exception ended that). With
    *nested* it belongs to the active run, in that run's store. Inside an objective it is the trial itself: what
    is logged lands on the trial, and the trial's own end is left to the study.
    """
    active = active_run() if nested and parent is None else None
    if isinstance(active, ActiveRun):
        run = active.start_run(experiment, name=name, params=params, tags=tags, system_metrics=system_metrics)
        return _activated(run)
    if active is not None:
        if params:
            active.log_params(params)
        if tags:
            active.set_tags(tags)
        return Logging(active)
    run = default_store().start_run(
        experiment, name=name, params=params, tags=tags, parent=parent, system_metrics=system_metrics
    )
    return _activated(run)


def _activated(run: ActiveRun) -> ActiveRun:
    """Make *run* the active one, and have it ended with the process where nobody does it before."""
    run.activate()
    if not _begun:
        atexit.unregister(_end_all)
        atexit.register(_end_all)
    _begun[:] = [(pid, held) for pid, held in _begun if (one := held()) is not None and not one.ended]
    _begun.append((os.getpid(), ref(run)))
    return run


_begun: list[tuple[int, ref[ActiveRun]]] = []


def _end_all() -> None:
    """End what a script began and did not end: as FAIL where an exception ended it."""
    cause = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    state = RunState.COMPLETE if cause is None else RunState.FAIL
    for pid, held in reversed(_begun):
        run = held()
        if pid == os.getpid() and run is not None and not run.ended:
            try:
                run.end(state, cause)
            except Exception as exc:  # noqa: BLE001 - the process ends: it can only be said
                logging.getLogger("trackers").warning("run %s was not ended: %s", run.uid, exc)
