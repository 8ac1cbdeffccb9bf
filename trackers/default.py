"""The store that is meant where none is named: ``HPO_STORAGE``, else ``hpo.db`` in the current folder."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trackers.active import ActiveRun, Logging, active_run
from trackers.values import ParamValue

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

    With *nested* it belongs to the active run, in that run's store. Inside an objective it is the trial itself: what
    is logged lands on the trial, and the trial's own end is left to the study.
    """
    active = active_run() if nested and parent is None else None
    if isinstance(active, ActiveRun):
        run = active.start_run(experiment, name=name, params=params, tags=tags, system_metrics=system_metrics)
        run.activate()
        return run
    if active is not None:
        if params:
            active.log_params(params)
        if tags:
            active.set_tags(tags)
        return Logging(active)
    run = default_store().start_run(
        experiment, name=name, params=params, tags=tags, parent=parent, system_metrics=system_metrics
    )
    run.activate()
    return run
